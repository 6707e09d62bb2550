"""The part of libobs's C interface that is used: structs, callbacks, constants, prototypes. No logic.

Taken from the headers of OBS 29.0; all of it is the same up to 32.2. A test compares sizes and offsets with
the installed headers.
"""

from ctypes import (
    CFUNCTYPE,
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_double,
    c_float,
    c_int,
    c_int64,
    c_long,
    c_size_t,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

from obs_faceswap.engine.formats import PixelFormat

MAX_PLANES = 8  # MAX_AV_PLANES


class SourceFrame(Structure):
    """struct obs_source_frame."""

    _fields_ = (
        ("data", c_void_p * MAX_PLANES),
        ("linesize", c_uint32 * MAX_PLANES),
        ("width", c_uint32),
        ("height", c_uint32),
        ("timestamp", c_uint64),  # nanoseconds
        ("format", c_int),  # enum video_format
        ("color_matrix", c_float * 16),
        ("full_range", c_bool),
        ("max_luminance", c_uint16),
        ("color_range_min", c_float * 3),
        ("color_range_max", c_float * 3),
        ("flip", c_bool),
        ("flags", c_uint8),
        ("trc", c_uint8),
        ("refs", c_long),
        ("prev_frame", c_bool),
    )


COLOR_OFFSET = SourceFrame.color_matrix.offset
COLOR_BYTES = SourceFrame.trc.offset + 1 - COLOR_OFFSET

# enum video_format, as far as it is swapped.
VIDEO_FORMATS = {
    1: PixelFormat.I420,
    2: PixelFormat.NV12,
    3: PixelFormat.YVYU,
    4: PixelFormat.YUY2,
    5: PixelFormat.UYVY,
    6: PixelFormat.RGBA,
    7: PixelFormat.BGRA,
    8: PixelFormat.BGRX,
    9: PixelFormat.Y800,
    10: PixelFormat.I444,
    11: PixelFormat.BGR3,
    12: PixelFormat.I422,
}

# Callbacks of obs_source_info. Addresses are returned as plain pointers: ctypes leaks a returned c_char_p.
GetName = CFUNCTYPE(c_void_p, c_void_p)
Create = CFUNCTYPE(c_void_p, c_void_p, c_void_p)
Destroy = CFUNCTYPE(None, c_void_p)
GetSize = CFUNCTYPE(c_uint32, c_void_p)
GetDefaults = CFUNCTYPE(None, c_void_p)
GetProperties = CFUNCTYPE(c_void_p, c_void_p)
Update = CFUNCTYPE(None, c_void_p, c_void_p)
VideoTick = CFUNCTYPE(None, c_void_p, c_float)
VideoRender = CFUNCTYPE(None, c_void_p, c_void_p)
FilterVideo = CFUNCTYPE(c_void_p, c_void_p, c_void_p)

# For obs_queue_task.
Task = CFUNCTYPE(None, c_void_p)

# Callbacks of properties.
ButtonClicked = CFUNCTYPE(c_bool, c_void_p, c_void_p, c_void_p)  # properties, property, filter's data
Modified = CFUNCTYPE(
    c_bool, c_void_p, c_void_p, c_void_p, c_void_p
)  # own data, properties, property, settings


class SourceInfo(Structure):
    """struct obs_source_info as OBS 28.0 to 29.1 have it; later ones append to it and take this size too."""

    _fields_ = (
        ("id", c_char_p),
        ("type", c_int),
        ("output_flags", c_uint32),
        ("get_name", GetName),
        ("create", Create),
        ("destroy", Destroy),
        ("get_width", GetSize),
        ("get_height", GetSize),
        ("get_defaults", GetDefaults),
        ("get_properties", GetProperties),
        ("update", Update),
        ("activate", Destroy),
        ("deactivate", Destroy),
        ("show", Destroy),
        ("hide", Destroy),
        ("video_tick", VideoTick),
        ("video_render", VideoRender),
        ("filter_video", FilterVideo),
        ("filter_audio", c_void_p),
        ("enum_active_sources", c_void_p),
        ("save", c_void_p),
        ("load", c_void_p),
        ("mouse_click", c_void_p),
        ("mouse_move", c_void_p),
        ("mouse_wheel", c_void_p),
        ("focus", c_void_p),
        ("key_click", c_void_p),
        ("filter_remove", c_void_p),
        ("type_data", c_void_p),
        ("free_type_data", c_void_p),
        ("audio_render", c_void_p),
        ("enum_all_sources", c_void_p),
        ("transition_start", c_void_p),
        ("transition_stop", c_void_p),
        ("get_defaults2", c_void_p),
        ("get_properties2", c_void_p),
        ("audio_mix", c_void_p),
        ("icon_type", c_int),
        ("media_play_pause", c_void_p),
        ("media_restart", c_void_p),
        ("media_stop", c_void_p),
        ("media_next", c_void_p),
        ("media_previous", c_void_p),
        ("media_get_duration", c_void_p),
        ("media_get_time", c_void_p),
        ("media_set_time", c_void_p),
        ("media_get_state", c_void_p),
        ("version", c_uint32),
        ("unversioned_id", c_void_p),
        ("missing_files", c_void_p),
        ("video_get_color_space", c_void_p),
    )


SOURCE_INFO_BYTES = 400

OBS_SOURCE_TYPE_FILTER = 1
OBS_SOURCE_VIDEO = 1 << 0
OBS_SOURCE_AUDIO = 1 << 1
OBS_SOURCE_ASYNC = 1 << 2
ASYNC_WITH_SOUND = OBS_SOURCE_ASYNC | OBS_SOURCE_VIDEO | OBS_SOURCE_AUDIO
OBS_SOURCE_CUSTOM_DRAW = 1 << 3

OBS_COMBO_TYPE_LIST = 2
OBS_COMBO_FORMAT_STRING = 3
OBS_GROUP_NORMAL = 1
OBS_PATH_FILE = 0
OBS_TEXT_DEFAULT = 0
OBS_TEXT_INFO = 3
OBS_TEXT_INFO_NORMAL = 0
OBS_TEXT_INFO_WARNING = 1
OBS_TEXT_INFO_ERROR = 2

OBS_TASK_UI = 0

LOG_ERROR = 100
LOG_WARNING = 200
LOG_INFO = 300
LOG_DEBUG = 400

GS_BGRA = 5
GS_DYNAMIC = 1 << 1
GS_CLEAR_COLOR = 1 << 0
GS_CS_SRGB = 0
GS_CS_SRGB_16F = 1
GS_CS_709_EXTENDED = 2
GS_CS_709_SCRGB = 3
GS_BLEND_ONE = 1
GS_BLEND_SRCALPHA = 4
GS_BLEND_INVSRCALPHA = 5
GS_BLEND_ZERO = 0
OBS_EFFECT_DEFAULT = 0
OBS_EFFECT_BILINEAR_LOWRES = 6


class Vec4(Structure):
    """struct vec4; libobs loads it with aligned instructions."""

    _fields_ = (("x", c_float), ("y", c_float), ("z", c_float), ("w", c_float))


_Prototype = tuple[Any, tuple[Any, ...]]  # what it returns, what it takes

# Called with the interpreter lock released: they take locks of libobs, wait, or run other people's callbacks.
# A graphics thread that holds such a lock and enters our callbacks would otherwise never get the interpreter.
RELEASING: dict[str, _Prototype] = {
    "blog": (None, (c_int, c_char_p)),  # variadic; the message is the format, so that no more is passed
    "obs_enable_source_type": (None, (c_char_p, c_bool)),
    "obs_enter_graphics": (None, ()),
    "obs_get_video": (c_void_p, ()),
    "obs_enum_sources": (None, (c_void_p, c_void_p)),
    "obs_get_output_source": (c_void_p, (c_uint32,)),
    "obs_get_source_by_name": (c_void_p, (c_char_p,)),
    "obs_leave_graphics": (None, ()),
    "obs_queue_task": (None, (c_int, Task, c_void_p, c_bool)),
    "obs_register_source_s": (None, (c_void_p, c_size_t)),
    "obs_source_default_render": (None, (c_void_p,)),
    "obs_source_get_base_height": (c_uint32, (c_void_p,)),
    "obs_source_get_base_width": (c_uint32, (c_void_p,)),
    "obs_source_get_color_space": (c_int, (c_void_p, c_size_t, POINTER(c_int))),
    "obs_source_get_weak_source": (c_void_p, (c_void_p,)),
    "obs_source_release": (None, (c_void_p,)),
    "obs_source_set_sync_offset": (None, (c_void_p, c_int64)),
    "obs_source_skip_video_filter": (None, (c_void_p,)),
    "obs_source_update": (None, (c_void_p, c_void_p)),
    "obs_source_update_properties": (None, (c_void_p,)),
    "obs_source_video_render": (None, (c_void_p,)),
    "obs_video_active": (c_bool, ()),  # whether any output takes pictures
    "obs_weak_source_get_source": (c_void_p, (c_void_p,)),
    "obs_weak_source_release": (None, (c_void_p,)),
    "video_output_get_skipped_frames": (c_uint32, (c_void_p,)),
    "gs_stagesurface_map": (c_bool, (c_void_p, POINTER(c_void_p), POINTER(c_uint32))),
    "gs_stagesurface_unmap": (None, (c_void_p,)),
    "gs_texture_set_image": (None, (c_void_p, c_void_p, c_uint32, c_bool)),
}

# Called with the interpreter lock held: short, without locks. Giving the interpreter lock away and getting
# it back around each would cost the graphics thread more than the call.
HOLDING: dict[str, _Prototype] = {
    "obs_get_average_frame_time_ns": (c_uint64, ()),
    "obs_get_frame_interval_ns": (c_uint64, ()),
    "obs_get_lagged_frames": (c_uint32, ()),
    "obs_get_total_frames": (c_uint32, ()),
    "obs_get_version_string": (c_char_p, ()),
    "obs_get_source_output_flags": (c_uint32, (c_char_p,)),
    "obs_filter_get_parent": (c_void_p, (c_void_p,)),
    "obs_filter_get_target": (c_void_p, (c_void_p,)),
    "obs_source_async_decoupled": (c_bool, (c_void_p,)),
    "obs_source_async_unbuffered": (c_bool, (c_void_p,)),
    "obs_source_enabled": (c_bool, (c_void_p,)),
    "obs_source_get_name": (c_char_p, (c_void_p,)),
    "obs_source_get_output_flags": (c_uint32, (c_void_p,)),
    "obs_source_get_settings": (c_void_p, (c_void_p,)),
    "obs_source_get_sync_offset": (c_int64, (c_void_p,)),
    "obs_source_removed": (c_bool, (c_void_p,)),
    "obs_source_showing": (c_bool, (c_void_p,)),
    "obs_data_get_double": (c_double, (c_void_p, c_char_p)),
    "obs_data_get_string": (c_char_p, (c_void_p, c_char_p)),
    "obs_data_release": (None, (c_void_p,)),
    "obs_data_set_default_double": (None, (c_void_p, c_char_p, c_double)),
    "obs_data_set_default_string": (None, (c_void_p, c_char_p, c_char_p)),
    "obs_data_set_string": (None, (c_void_p, c_char_p, c_char_p)),
    "os_gettime_ns": (c_uint64, ()),
    "obs_properties_create": (c_void_p, ()),
    "obs_properties_get": (c_void_p, (c_void_p, c_char_p)),
    "obs_properties_add_button2": (c_void_p, (c_void_p, c_char_p, c_char_p, ButtonClicked, c_void_p)),
    "obs_properties_add_float_slider": (
        c_void_p,
        (c_void_p, c_char_p, c_char_p, c_double, c_double, c_double),
    ),
    "obs_properties_add_group": (c_void_p, (c_void_p, c_char_p, c_char_p, c_int, c_void_p)),
    "obs_properties_add_list": (c_void_p, (c_void_p, c_char_p, c_char_p, c_int, c_int)),
    "obs_properties_add_path": (c_void_p, (c_void_p, c_char_p, c_char_p, c_int, c_char_p, c_char_p)),
    "obs_properties_add_text": (c_void_p, (c_void_p, c_char_p, c_char_p, c_int)),
    "obs_property_float_set_suffix": (None, (c_void_p, c_char_p)),
    "obs_property_visible": (c_bool, (c_void_p,)),
    "obs_property_list_add_string": (c_size_t, (c_void_p, c_char_p, c_char_p)),
    "obs_property_set_long_description": (None, (c_void_p, c_char_p)),
    "obs_property_set_modified_callback2": (None, (c_void_p, Modified, c_void_p)),
    "obs_property_set_visible": (None, (c_void_p, c_bool)),
    "obs_property_text_set_info_type": (None, (c_void_p, c_int)),
    "gs_blend_function": (None, (c_int, c_int)),
    "gs_blend_function_separate": (None, (c_int, c_int, c_int, c_int)),
    "gs_blend_state_pop": (None, ()),
    "gs_blend_state_push": (None, ()),
    "gs_clear": (None, (c_uint32, POINTER(Vec4), c_float, c_uint8)),
    "gs_draw_sprite": (None, (c_void_p, c_uint32, c_uint32, c_uint32)),
    "gs_effect_get_param_by_name": (c_void_p, (c_void_p, c_char_p)),
    "gs_effect_loop": (c_bool, (c_void_p, c_char_p)),
    "gs_effect_set_texture": (None, (c_void_p, c_void_p)),
    "gs_ortho": (None, (c_float, c_float, c_float, c_float, c_float, c_float)),
    "gs_stage_texture": (None, (c_void_p, c_void_p)),
    "gs_stagesurface_create": (c_void_p, (c_uint32, c_uint32, c_int)),
    "gs_stagesurface_destroy": (None, (c_void_p,)),
    "gs_texrender_begin": (c_bool, (c_void_p, c_uint32, c_uint32)),
    "gs_texrender_create": (c_void_p, (c_int, c_int)),
    "gs_texrender_destroy": (None, (c_void_p,)),
    "gs_texrender_end": (None, (c_void_p,)),
    "gs_texrender_get_texture": (c_void_p, (c_void_p,)),
    "gs_texrender_reset": (None, (c_void_p,)),
    "gs_texture_create": (c_void_p, (c_uint32, c_uint32, c_int, c_uint32, c_void_p, c_uint32)),
    "gs_texture_destroy": (None, (c_void_p,)),
    "obs_get_base_effect": (c_void_p, (c_int,)),
}
