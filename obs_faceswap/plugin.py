"""What OBS calls on the script. The script file itself only finds this package and imports these names.

Standard library only: with nothing else installed the filter is still there, covers the picture and says what
is missing.
"""

from obs_faceswap.libobs.source import TYPE

_DESCRIPTION = (
    "<b>Face Swap</b><br>Adds the filter “Face Swap”. To use it: right-click a source, choose Filters, "
    "press + and choose Face Swap. There is nothing to set here."
)


def script_description() -> str:
    """The text in OBS's list of scripts."""
    return _DESCRIPTION


def script_load(_settings: object) -> None:
    """Registers the filter, or wakes its filters up after the script was reloaded."""
    TYPE.load()


def script_unload() -> None:
    """Stops all engines; the pictures stay covered."""
    TYPE.unload()
