"""The faces a user has installed. Standard library only.

A face is a picture, a folder of one person's pictures, or a .dfm model, and lies in `folders.faces_dir()`.
What a picture shows is not looked at here.
"""

import difflib
import shutil
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from obs_faceswap.engine import folders
from obs_faceswap.engine.errors import FaceError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
MODELS = (".dfm",)

_FORBIDDEN = '<>:"/\\|?*'  # in a file name on Windows; a face should be movable to any system


class FaceKind(StrEnum):
    """What a face is made of."""

    PHOTO = "photo"
    FOLDER = "folder"
    DFM = "dfm"


@dataclass(frozen=True, slots=True)
class InstalledFace:
    """A face by the name the user sees."""

    name: str
    path: Path
    kind: FaceKind

    def pictures(self) -> list[Path]:
        """The picture files it consists of, in order of their names; none for a .dfm."""
        if self.kind is FaceKind.FOLDER:
            return _pictures_in(self.path)
        return [self.path] if self.kind is FaceKind.PHOTO else []


def installed() -> list[InstalledFace]:
    """All installed faces, sorted by name. Names are unique: of two files anna.* the second keeps its ending.

    Raises:
        FaceError: the folder of faces cannot be read.
    """
    folder = folders.faces_dir()
    if not folder.exists():
        return []
    found: dict[str, InstalledFace] = {}
    for path in sorted(_entries(folder), key=lambda path: path.name.casefold()):
        try:
            kind = kind_of(path)
        except FaceError:
            continue  # a folder without read permission hides no other face
        if kind:
            name = path.name if kind is FaceKind.FOLDER or path.stem in found else path.stem
            found[name] = InstalledFace(name, path, kind)
    return sorted(found.values(), key=lambda face: face.name.casefold())


def kind_of(path: Path) -> FaceKind | None:
    """What kind of face a file or folder is, judged by its name; None if it is none."""
    suffix = path.suffix.lower()
    if path.is_dir():
        return FaceKind.FOLDER if _pictures_in(path) else None
    if not path.is_file():
        return None
    if suffix in MODELS:
        return FaceKind.DFM
    return FaceKind.PHOTO if suffix in PICTURES else None


def find(name_or_path: str | Path) -> InstalledFace:
    """The face of that name, or the one at that path.

    Raises:
        FaceError: nothing was named, there is no such face, or the path is no face.
    """
    text = str(name_or_path)
    if not text.strip():
        raise FaceError("No face is chosen. Choose one in the list, or give a picture or a .dfm file.")
    known = installed()
    for face in known:
        if text == face.name:
            return face
    path = Path(text).expanduser()
    if not path.exists():
        raise FaceError(_unknown(text, known))
    return _at(path)


def add(path: Path, name: str | None = None) -> InstalledFace:
    """Copies a picture, a folder of pictures or a .dfm to the installed faces.

    Args:
        path: what to copy; of a folder only its pictures are.
        name: the face's name; the file's or folder's own without it.

    Raises:
        FaceError: the path is no face, the name is taken or cannot be a file name, or writing failed.
    """
    source = _at(path.expanduser())
    wanted = source.name if name is None else name
    _require_name(wanted)
    target = folders.faces_dir() / (wanted + ("" if source.kind is FaceKind.FOLDER else path.suffix.lower()))
    if target.exists() or any(face.name == wanted for face in installed()):
        raise FaceError(f"There is a face called “{wanted}” already. Give another name, or remove that one.")
    try:
        _copy(source, target)
    except OSError as error:
        raise FaceError(
            f"{target} cannot be written ({error.strerror or error}). "
            "Free some space or allow writing there, and try again."
        ) from error
    return InstalledFace(wanted, target, source.kind)


def remove(name: str) -> Path:
    """Deletes an installed face and returns where it was.

    Raises:
        FaceError: no face of that name is installed, or it cannot be deleted.
    """
    known = installed()
    face = next((face for face in known if face.name == name), None)
    if face is None:
        raise FaceError(_unknown(name, known))
    try:
        shutil.rmtree(face.path) if face.kind is FaceKind.FOLDER else face.path.unlink()
    except OSError as error:
        raise FaceError(f"{face.path} cannot be deleted ({error.strerror}). Close what uses it.") from error
    return face.path


def _at(path: Path) -> InstalledFace:
    kind = kind_of(path)
    if kind is None:
        raise FaceError(_no_face(path))
    return InstalledFace(path.name if kind is FaceKind.FOLDER else path.stem, path, kind)


def _no_face(path: Path) -> str:
    endings = " ".join(PICTURES + MODELS)
    if not path.exists():
        return f"There is no file {path}. Choose another."
    if path.is_dir():
        return f"The folder {path} has no pictures in it. Expected files ending in {' '.join(PICTURES)}."
    return f"{path} is no face: its name ends in “{path.suffix}”, expected one of {endings}. Choose another."


def _unknown(text: str, known: list[InstalledFace]) -> str:
    names = [face.name for face in known]
    if not names:
        return f"There is no face “{text}”, and none is installed. Give the path of a picture or a .dfm file."
    close = difflib.get_close_matches(text, names, n=1)
    hint = f" Did you mean “{close[0]}”?" if close else ""
    return f"There is no face “{text}”.{hint} Installed are: {', '.join(names)}. A path works as well."


def _entries(folder: Path) -> list[Path]:
    """A folder's files and folders without hidden ones; unfinished copies are hidden."""
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise FaceError(f"The folder {folder} cannot be read ({error.strerror}). Choose another.") from error


def _pictures_in(folder: Path) -> list[Path]:
    files = (path for path in _entries(folder) if path.suffix.lower() in PICTURES and path.is_file())
    return sorted(files, key=lambda path: path.name.casefold())


def _require_name(name: str) -> None:
    bad = sorted(set(name) & set(_FORBIDDEN))
    if not name.strip() or name.startswith(".") or bad or not name.isprintable():
        raise FaceError(
            f"“{name}” cannot be a face's name. Use a text without a leading dot and without {_FORBIDDEN}"
        )


def _copy(source: InstalledFace, target: Path) -> None:
    """Copies beside the target and moves it there, so that no half face ever shows in the list."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=target.parent) as work:
        made = Path(work) / "face"
        if source.kind is FaceKind.FOLDER:
            made.mkdir()
            for picture in source.pictures():
                shutil.copyfile(picture, made / picture.name)
        else:
            shutil.copyfile(source.path, made)
        made.rename(target)
