"""The filter's properties, drawn by libobs: `ui.obs_properties` says what is in them."""

from typing import Any, Self

from obs_faceswap.libobs import abi
from obs_faceswap.libobs.api import text
from obs_faceswap.ui.obs_properties import Choice, Severity

_INFO_TYPES = {
    Severity.NORMAL: abi.OBS_TEXT_INFO_NORMAL,
    Severity.WARNING: abi.OBS_TEXT_INFO_WARNING,
    Severity.ERROR: abi.OBS_TEXT_INFO_ERROR,
}


class ObsPanel:
    """One obs_properties_t; who made it owns it, a group belongs to the panel it is in."""

    def __init__(self, obs: Any, address: int) -> None:
        self._obs = obs
        self.address = address

    def group(self, key: str, label: str) -> Self:
        """Adds a framed group and returns it."""
        inner = self._obs.obs_properties_create()
        self._obs.obs_properties_add_group(self.address, text(key), text(label), abi.OBS_GROUP_NORMAL, inner)
        return type(self)(self._obs, inner)

    def number(self, key: str, label: str, low: float, high: float, step: float, unit: str) -> None:
        """Adds a slider."""
        slider = self._obs.obs_properties_add_float_slider(
            self.address, text(key), text(label), low, high, step
        )
        if unit:
            self._obs.obs_property_float_set_suffix(slider, text(f" {unit}"))

    def choice(self, key: str, label: str, choices: tuple[Choice, ...]) -> None:
        """Adds a drop-down list of (value, label)."""
        listed = self._obs.obs_properties_add_list(
            self.address, text(key), text(label), abi.OBS_COMBO_TYPE_LIST, abi.OBS_COMBO_FORMAT_STRING
        )
        for value, name in choices:
            self._obs.obs_property_list_add_string(listed, text(name), text(value))

    def path(self, key: str, label: str, kinds: str) -> None:
        """Adds a file picker."""
        self._obs.obs_properties_add_path(
            self.address, text(key), text(label), abi.OBS_PATH_FILE, text(kinds), None
        )

    def text(self, key: str, label: str) -> None:
        """Adds a line to write in."""
        self._obs.obs_properties_add_text(self.address, text(key), text(label), abi.OBS_TEXT_DEFAULT)

    def info(self, key: str, label: str, message: str, severity: Severity) -> None:
        """Adds a text to read."""
        shown = self._obs.obs_properties_add_text(self.address, text(key), text(label), abi.OBS_TEXT_INFO)
        self._write(shown, message, severity)

    def set_info(self, key: str, message: str, severity: Severity) -> None:
        """Changes a text to read."""
        self._write(self._find(key), message, severity)

    def _write(self, shown: int, message: str, severity: Severity) -> None:
        self._obs.obs_property_set_long_description(shown, text(message))
        self._obs.obs_property_text_set_info_type(shown, _INFO_TYPES[severity])

    def button(self, key: str, label: str, clicked: Any) -> None:
        """Adds a button; `clicked` is a ButtonClicked that lives as long as the process."""
        self._obs.obs_properties_add_button2(self.address, text(key), text(label), clicked, None)

    def help(self, key: str, message: str) -> None:
        """Sets the explanation shown beside a control."""
        self._obs.obs_property_set_long_description(self._find(key), text(message))

    def on_change(self, key: str, changed: Any) -> None:
        """Has `changed`, a Modified that lives as long as the process, called when the user changes it."""
        self._obs.obs_property_set_modified_callback2(self._find(key), changed, None)

    def is_visible(self, key: str) -> bool:
        """Whether a control is shown."""
        return bool(self._obs.obs_property_visible(self._find(key)))

    def set_visible(self, key: str, visible: bool) -> None:
        """Shows or hides a control."""
        self._obs.obs_property_set_visible(self._find(key), visible)

    def _find(self, key: str) -> int:
        found: int = self._obs.obs_properties_get(self.address, text(key))
        return found
