"""A libobs made of Python objects: settings, sources and properties are kept in dictionaries by address."""

import ctypes
import itertools

from obs_faceswap.libobs import abi


class FakeObs:
    """Stands in for `libobs.api.Functions`; every function `abi` does not declare is an AttributeError.

    Attributes:
        data: settings by address; a key that is missing has its default.
        settings: the address of each source's settings.
        parents: of filters; `targets` likewise.
        flags: output flags of sources.
        calls: names of all functions called, in their order.
    """

    def __init__(self):
        self.addresses = itertools.count(1000)
        self.data, self.defaults, self.settings = {}, {}, {}
        self.parents, self.targets, self.flags, self.names = {}, {}, {}, {}
        self.showing, self.enabled = {}, {}
        self.properties, self.by_address = {}, {}
        self.registered, self.type_enabled, self.at_exit = [], None, []
        self.updated_properties = []
        self.color_space, self.size = abi.GS_CS_SRGB, (64, 36)
        self.pixels = b""
        self.uploads, self.alive = [], {}
        self.calls = []
        self.log = []
        self.passes, self.mapped = 0, None
        self.total_frames, self.lagged_frames, self.interval_ns = 0, 0, 16_000_000
        self.has_output = False
        self.video, self.skipped_frames, self.tasks = 9000, {9000: 0}, []

    def __getattribute__(self, name):
        if name in abi.RELEASING or name in abi.HOLDING:
            object.__getattribute__(self, "calls").append(name)
        return object.__getattribute__(self, name)

    def __getattr__(self, name):
        assert name in abi.RELEASING or name in abi.HOLDING, f"{name} is not declared"
        return lambda *arguments: None

    # Sources.

    def add_source(self, flags, name="Cam"):
        """A source with a filter on it; returns both addresses."""
        source, made = next(self.addresses), next(self.addresses)
        self.flags[source], self.names[source] = flags, name
        self.parents[made] = self.targets[made] = source
        self.showing[source] = self.enabled[made] = True
        return source, made

    def obs_get_version_string(self):
        return b"29.0.2"

    def obs_filter_get_parent(self, made):
        return self.parents.get(made)

    def obs_filter_get_target(self, made):
        return self.targets.get(made)

    def obs_source_get_name(self, source):
        return self.names[source].encode()

    def obs_source_get_settings(self, source):
        return self.settings[source]

    def obs_source_get_output_flags(self, source):
        return self.flags[source]

    def obs_source_showing(self, source):
        return self.showing[source]

    def obs_source_enabled(self, made):
        return self.enabled[made]

    def obs_source_update_properties(self, made):
        self.updated_properties.append(made)

    # Types.

    def obs_register_source_s(self, info, size):
        copied = abi.SourceInfo.from_buffer_copy(ctypes.string_at(info, size))
        self.registered.append(copied)

    def obs_get_source_output_flags(self, name):
        return next((info.output_flags for info in self.registered if info.id == name), 0)

    def obs_enable_source_type(self, name, enabled):
        self.type_enabled = enabled

    def blog(self, level, line):
        self.log.append((level, line))

    # OBS's own figures.

    def obs_get_total_frames(self):
        return self.total_frames

    def obs_get_lagged_frames(self):
        return self.lagged_frames

    def obs_get_average_frame_time_ns(self):
        return 4_000_000

    def obs_get_frame_interval_ns(self):
        return self.interval_ns

    def obs_video_active(self):
        return self.has_output

    def obs_get_video(self):
        return self.video

    def video_output_get_skipped_frames(self, video):
        return self.skipped_frames[video]

    def obs_queue_task(self, kind, task, own, wait):
        self.tasks.append((kind, task, own, wait))

    # Settings.

    def add_data(self, **values):
        address = next(self.addresses)
        self.data[address] = values
        return address

    def _stored(self, address, key):
        key = key.decode()
        return self.data[address].get(key, self.defaults.get((address, key)))

    def obs_data_get_double(self, address, key):
        value = self._stored(address, key)
        return float(value) if isinstance(value, int | float) else 0.0

    def obs_data_get_string(self, address, key):
        value = self._stored(address, key)
        return value.encode() if isinstance(value, str) else b""

    def obs_data_set_default_double(self, address, key, value):
        self.defaults[address, key.decode()] = value

    def obs_data_set_default_string(self, address, key, value):
        self.defaults[address, key.decode()] = value.decode()

    # Properties.

    def obs_properties_create(self):
        address = next(self.addresses)
        self.properties[address] = {}
        return address

    def _add(self, properties, key, label, kind, *more):
        address = next(self.addresses)
        made = {"label": label.decode(), "kind": kind, "more": more, "items": [], "visible": True}
        self.properties[properties][key.decode()] = address
        self.by_address[address] = made
        return address

    def obs_properties_add_group(self, properties, key, label, kind, inner):
        return self._add(properties, key, label, "group", inner)

    def obs_properties_add_float_slider(self, properties, key, label, *limits):
        return self._add(properties, key, label, "number", *limits)

    def obs_properties_add_list(self, properties, key, label, *kinds):
        return self._add(properties, key, label, "choice", *kinds)

    def obs_properties_add_path(self, properties, key, label, *more):
        return self._add(properties, key, label, "path", *more)

    def obs_properties_add_text(self, properties, key, label, kind):
        return self._add(properties, key, label, "info", kind)

    def obs_properties_add_button2(self, properties, key, label, clicked, own):
        return self._add(properties, key, label, "button", clicked)

    def obs_properties_get(self, properties, key):
        found = self.properties[properties].get(key.decode())
        if found is None:
            groups = (self.by_address[p] for p in self.properties[properties].values())
            inner = (group["more"][0] for group in groups if group["kind"] == "group")
            found = next((f for f in (self.obs_properties_get(i, key) for i in inner) if f), None)
        return found

    def obs_property_list_add_string(self, address, label, value):
        self.by_address[address]["items"].append((value.decode(), label.decode()))

    def obs_property_float_set_suffix(self, address, suffix):
        self.by_address[address]["suffix"] = suffix.decode()

    def obs_property_set_long_description(self, address, message):
        self.by_address[address]["help"] = message.decode()

    def obs_property_text_set_info_type(self, address, kind):
        self.by_address[address]["severity"] = kind

    def obs_property_set_modified_callback2(self, address, changed, own):
        self.by_address[address]["changed"] = changed

    def obs_property_visible(self, address):
        return self.by_address[address]["visible"]

    def obs_property_set_visible(self, address, visible):
        self.by_address[address]["visible"] = visible

    def find(self, properties, key):
        """What is known of one property."""
        return self.by_address[self.obs_properties_get(properties, key.encode())]

    # Graphics: only what is made, freed, read and uploaded.

    def obs_source_get_base_width(self, source):
        return self.size[0]

    def obs_source_get_base_height(self, source):
        return self.size[1]

    def obs_source_get_color_space(self, source, count, preferred):
        return self.color_space

    def _make(self, kind):
        address = next(self.addresses)
        self.alive[address] = kind
        return address

    def gs_texrender_create(self, color_format, depth):
        return self._make("texrender")

    def gs_texrender_begin(self, texrender, width, height):
        return True

    def gs_texrender_get_texture(self, texrender):
        return texrender

    def gs_texrender_destroy(self, texrender):
        self.alive.pop(texrender, None)

    def gs_stagesurface_create(self, width, height, color_format):
        return self._make("surface")

    def gs_stagesurface_destroy(self, surface):
        self.alive.pop(surface, None)

    def gs_texture_create(self, *arguments):
        return self._make("texture")

    def gs_texture_destroy(self, texture):
        self.alive.pop(texture, None)

    def gs_stagesurface_map(self, surface, pointer, linesize):
        self.mapped = ctypes.create_string_buffer(self.pixels, len(self.pixels))
        pointer._obj.value = ctypes.addressof(self.mapped)
        linesize._obj.value = len(self.pixels) // self.size[1]
        return True

    def gs_texture_set_image(self, texture, address, linesize, flip):
        self.uploads.append(ctypes.string_at(address, linesize * self.size[1]))

    def obs_get_base_effect(self, number):
        return number + 1

    def gs_effect_get_param_by_name(self, effect, name):
        return effect

    def gs_effect_loop(self, effect, name):
        self.passes += 1
        return self.passes % 2 == 1
