"""Files that come with the package: the demo's clip and face, and the script given to OBS.

Standard library only; the installer uses it too.
"""

import sysconfig
from collections.abc import Sequence
from pathlib import Path

from obs_faceswap.engine.errors import FaceSwapError

_PACKAGE = Path(__file__).parents[1]
SCRIPT_NAME = "obs_faceswap_filter.py"


def packaged(name: str) -> Path:
    """A file by its path below the checkout's installer folder, e.g. "demo/clip.mp4".

    Raises:
        FaceSwapError: it is not there.
    """
    places = (_PACKAGE / "installer" / name, _PACKAGE.parent / "installer" / name)
    for place in places:
        if place.exists():
            return place
    raise FaceSwapError(f"The file {places[0]} is missing. Install obs-faceswap again.")


def own_folders() -> list[Path]:
    """What this interpreter finds the package and its dependencies in."""
    return list(
        dict.fromkeys([_PACKAGE.parent, *(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))])
    )


def write_script(folder: Path, import_from: Sequence[Path]) -> Path:
    """Writes the script for OBS into `folder`; it imports the package and the rest from the folders given."""
    template = packaged(f"{SCRIPT_NAME}.in").read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / SCRIPT_NAME
    script.write_text(
        template.replace("@FOLDERS@", repr([str(path) for path in import_from])), encoding="utf-8"
    )
    return script
