"""The way of sources that are drawn (image, window, browser, scene): read back, hand over, draw the result.

Everything here runs inside OBS's graphics context: in `video_render`, or between obs_enter_graphics and
obs_leave_graphics.
"""

import ctypes
from ctypes import byref, c_int, c_uint32, c_void_p
from typing import Any

from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.cover import COLUMNS
from obs_faceswap.engine.live.exchange import Exchange, Slots, key_of, now_ns
from obs_faceswap.libobs import abi
from obs_faceswap.libobs.planes import copy_rows

_BETWEEN = 4 * COLUMNS  # columns of the step between the picture and its cover: averages more of its pixels
_HDR = (abi.GS_CS_709_EXTENDED, abi.GS_CS_709_SCRGB)


class _Aligned:
    """A vec4 of zeros at an address that is a multiple of 16."""

    def __init__(self) -> None:
        self._memory = ctypes.create_string_buffer(32)
        address = ctypes.addressof(self._memory)
        self.vec4 = abi.Vec4.from_address(address + -address % 16)


class Textures:
    """The GPU's objects for one size of picture.

    Attributes:
        picture: a texrender holding the source as it is.
        surfaces: two of main memory; one is written by the GPU while the other one is read.
        result: the texture finished frames are uploaded to.
    """

    def __init__(self, obs: Any, width: int, height: int) -> None:
        self._obs = obs
        self.size = (width, height)
        self.picture = obs.gs_texrender_create(abi.GS_BGRA, 0)
        self.between = obs.gs_texrender_create(abi.GS_BGRA, 0)
        self.cover = obs.gs_texrender_create(abi.GS_BGRA, 0)
        self.surfaces = [obs.gs_stagesurface_create(width, height, abi.GS_BGRA) for _ in range(2)]
        self.result = obs.gs_texture_create(width, height, abi.GS_BGRA, 1, None, abi.GS_DYNAMIC)

    def is_complete(self) -> bool:
        """Whether the GPU had room for all of them."""
        return all((self.picture, self.between, self.cover, self.result, *self.surfaces))

    def free(self) -> None:
        """Frees them; all these functions take NULL."""
        for texrender in (self.picture, self.between, self.cover):
            self._obs.gs_texrender_destroy(texrender)
        for surface in self.surfaces:
            self._obs.gs_stagesurface_destroy(surface)
        self._obs.gs_texture_destroy(self.result)


class GpuPath:
    """Draws one filter. `draw` may be called several times a tick; the work is done once."""

    def __init__(self, obs: Any, filter_source: int, exchange: Exchange) -> None:
        self._obs = obs
        self._filter = filter_source
        self._exchange = exchange
        self._zero = _Aligned()
        self._mapped = (c_void_p(), c_uint32())
        self._preferred = (c_int * 3)(abi.GS_CS_SRGB, abi.GS_CS_SRGB_16F, abi.GS_CS_709_EXTENDED)
        self._textures: Textures | None = None
        self._staged = [False, False]
        self._turn = 0
        self._is_new_tick = True
        self._choice = ex.HIDE
        self._has_result = False
        self._uploaded = 0  # sequence number of the picture in the result texture

    def new_tick(self) -> None:
        """Says that the next `draw` is the first one of a new frame of OBS."""
        self._is_new_tick = True

    def draw(self, target: int, parent: int) -> None:
        """Draws what may be shown of the filter's target."""
        if self._is_new_tick:
            self._is_new_tick = False
            self._choice = self._process(target, parent)
        self._draw_choice()

    def draw_cover(self, target: int, parent: int) -> None:
        """Draws the cover of the filter's target, without any engine."""
        textures = self._textures_for(target)
        if textures is not None and self._render(textures, target, parent):
            self._make_cover(textures)
            self._draw_whole(self._obs.gs_texrender_get_texture(textures.cover), textures.size)

    def _textures_for(self, target: int) -> Textures | None:
        size = (self._obs.obs_source_get_base_width(target), self._obs.obs_source_get_base_height(target))
        if self._textures is not None and self._textures.size == size:
            return self._textures
        self.free()
        if not all(size):
            return None
        textures = Textures(self._obs, *size)
        if not textures.is_complete():
            textures.free()
            return None
        self._textures = textures
        return textures

    def _process(self, target: int, parent: int) -> int:
        """One frame of the source: reads it back, offers it, and decides what is shown."""
        textures = self._textures_for(target)
        if textures is None or not self._render(textures, target, parent):
            return ex.HIDE
        now = now_ns()
        self._exchange.note_frame()
        slots = (
            None if self._is_hdr(target) else self._exchange.current(key_of(PixelFormat.BGRA, *textures.size))
        )
        if slots is None:
            choice = self._exchange.choose_without_slots()
        else:
            self._read_back(textures, slots, now)
            choice = self._exchange.choose(slots, now)
            if choice >= 0:
                self._upload(textures, slots, choice)
            self._exchange.chosen()
        if choice == ex.COVER:
            self._make_cover(textures)
        return choice

    def _is_hdr(self, target: int) -> bool:
        space = self._obs.obs_source_get_color_space(target, len(self._preferred), self._preferred)
        self._exchange.words[ex.PROBLEM] = ex.PROBLEM_HDR if space in _HDR else 0
        return space in _HDR

    def _render(self, textures: Textures, target: int, parent: int) -> bool:
        """Draws the target into its texrender, as libobs's own filters do."""
        obs = self._obs
        width, height = textures.size
        obs.gs_texrender_reset(textures.picture)
        if not obs.gs_texrender_begin(textures.picture, width, height):
            return False
        self._begin(width, height)
        # Colors multiplied by alpha come out, whether the source draws itself like that or not.
        obs.gs_blend_function_separate(
            abi.GS_BLEND_SRCALPHA, abi.GS_BLEND_INVSRCALPHA, abi.GS_BLEND_ONE, abi.GS_BLEND_INVSRCALPHA
        )
        flags = obs.obs_source_get_output_flags(parent)
        if target == parent and not flags & (abi.OBS_SOURCE_CUSTOM_DRAW | abi.OBS_SOURCE_ASYNC):
            obs.obs_source_default_render(target)
        else:
            obs.obs_source_video_render(target)
        obs.gs_blend_state_pop()
        obs.gs_texrender_end(textures.picture)
        return True

    def _begin(self, width: int, height: int) -> None:
        obs = self._obs
        obs.gs_clear(abi.GS_CLEAR_COLOR, byref(self._zero.vec4), 0.0, 0)
        obs.gs_ortho(0.0, width, 0.0, height, -100.0, 100.0)
        obs.gs_blend_state_push()

    def _read_back(self, textures: Textures, slots: Slots, now: int) -> None:
        """Lets the GPU copy this picture out, and offers the one it copied a tick ago: no waiting for it."""
        obs = self._obs
        writing, reading = self._turn, 1 - self._turn
        obs.gs_stage_texture(textures.surfaces[writing], obs.gs_texrender_get_texture(textures.picture))
        self._staged[writing] = True
        self._turn = reading
        pointer, linesize = self._mapped
        if not self._staged[reading] or not self._exchange.words[ex.SHOWING]:
            return
        if not obs.gs_stagesurface_map(textures.surfaces[reading], byref(pointer), byref(linesize)):
            return
        index = self._exchange.input_slot()
        _, stride, rows = slots.planes[0]
        copy_rows(slots.addresses[index], stride, pointer.value or 0, linesize.value, stride, rows)
        obs.gs_stagesurface_unmap(textures.surfaces[reading])
        slots.metas[index].timestamp_ns = now
        self._exchange.offer(slots, index, now)

    def _upload(self, textures: Textures, slots: Slots, choice: int) -> None:
        sequence = slots.metas[choice].sequence
        if sequence != self._uploaded:
            self._obs.gs_texture_set_image(
                textures.result, slots.addresses[choice], slots.planes[0][1], False
            )
            self._uploaded = sequence

    def _make_cover(self, textures: Textures) -> None:
        width, height = textures.size
        picture = self._obs.gs_texrender_get_texture(textures.picture)
        self._shrink(textures.between, picture, _BETWEEN, height * _BETWEEN // width)
        between = self._obs.gs_texrender_get_texture(textures.between)
        self._shrink(textures.cover, between, COLUMNS, height * COLUMNS // width)

    def _shrink(self, into: int, texture: int, width: int, height: int) -> None:
        obs = self._obs
        height = max(height, 1)
        obs.gs_texrender_reset(into)
        if obs.gs_texrender_begin(into, width, height):
            self._begin(width, height)
            obs.gs_blend_function(abi.GS_BLEND_ONE, abi.GS_BLEND_ZERO)
            self._sprite(texture, (width, height), abi.OBS_EFFECT_BILINEAR_LOWRES)
            obs.gs_blend_state_pop()
            obs.gs_texrender_end(into)

    def _draw_choice(self) -> None:
        textures = self._textures
        if self._choice == ex.RAW:
            self._obs.obs_source_skip_video_filter(self._filter)
        elif textures is not None and self._choice != ex.HIDE:
            cover = self._obs.gs_texrender_get_texture(textures.cover)
            self._draw_whole(cover if self._choice == ex.COVER else textures.result, textures.size)

    def _draw_whole(self, texture: int, size: tuple[int, int]) -> None:
        obs = self._obs
        obs.gs_blend_state_push()
        obs.gs_blend_function(abi.GS_BLEND_ONE, abi.GS_BLEND_INVSRCALPHA)
        self._sprite(texture, size, abi.OBS_EFFECT_DEFAULT)
        obs.gs_blend_state_pop()

    def _sprite(self, texture: int, size: tuple[int, int], effect_number: int) -> None:
        obs = self._obs
        effect = obs.obs_get_base_effect(effect_number)
        obs.gs_effect_set_texture(obs.gs_effect_get_param_by_name(effect, b"image"), texture)
        while obs.gs_effect_loop(effect, b"Draw"):
            obs.gs_draw_sprite(texture, 0, *size)

    def free(self) -> None:
        """Frees the GPU's objects; may be called twice."""
        textures, self._textures = self._textures, None
        self._staged = [False, False]
        self._uploaded = 0
        if textures is not None:
            textures.free()
