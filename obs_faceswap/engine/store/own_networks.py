"""The networks a user brings. Standard library only.

They lie in `folders.networks_dir()`, or anywhere by their path. What one is for is told by its inputs and
outputs, never by trying it: a list must be quick.
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from obs_faceswap.engine import folders
from obs_faceswap.engine.errors import ModelError, ModelMissingError, UnsupportedModelError
from obs_faceswap.engine.runtime.onnx_contract import Contract, Shape, contract_of
from obs_faceswap.engine.store.face_networks import is_detector, is_landmarker

SUFFIX = ".onnx"

_LATENT, _SMALL_LATENT = 512, 128  # numbers of an embedding: ArcFace's, MobileFaceNet's
_FACE = (3, 112, 112)  # what recognition networks take
# What networks for occlusion take and give, but for the batch: XSeg and networks of faces, BiSeNet face
# parsers with CelebAMask-HQ's 19 classes, MediaPipe's network of hair.
MASKING, PARSING, HAIR = (
    ((256, 256, 3), (256, 256, 1)),
    ((3, 512, 512), (19, 512, 512)),
    ((512, 512, 4), (512, 512, 2)),
)
_SWAPPER, _ANIMATOR = {"source", "target"}, {"in_src", "in_drv", "in_drv_start_motion", "in_power"}
_ENHANCED_SIDES = (256, 512, 1024, 2048)  # of GPEN's networks; all others are of 512 pixels
_CONVERTER_NAMES = ("crossface", "converter")
_USUAL_RECOGNIZERS = ("w600k", "arcface")  # InsightFace's, which all one-photo networks here were made with


class Role(StrEnum):
    """What a network does: for a photo face, for what lies before a face, or to find faces and people."""

    SWAPPER = "swapper"
    ANIMATOR = "animator"
    RECOGNIZER = "recognizer"
    CONVERTER = "converter"
    OCCLUDER = "occluder"
    PARSER = "parser"
    DETECTOR = "detector"
    LANDMARKER = "landmarker"
    SMALL_RECOGNIZER = "small recognizer"
    ENHANCER = "enhancer"


WORN = (Role.SWAPPER, Role.ANIMATOR)  # a face is worn through these
OCCLUDERS = (Role.OCCLUDER, Role.PARSER)  # these say what lies before it
DETECTORS, LANDMARKERS = (Role.DETECTOR,), (Role.LANDMARKER,)  # these find faces and follow them
ENHANCERS = (Role.ENHANCER,)  # these make swapped faces finer
RECOGNIZERS = (Role.SMALL_RECOGNIZER, Role.RECOGNIZER)  # these tell people apart; small ones do nothing else

_WORDS = {
    Role.SWAPPER: "a network that a face is worn through",
    Role.ANIMATOR: "a network that animates pictures",
    Role.RECOGNIZER: "a recognizer, which helps others",
    Role.CONVERTER: "a converter, which helps others",
    Role.OCCLUDER: "a network that tells what lies before a face",
    Role.PARSER: "a face parser",
    Role.DETECTOR: "a network that finds faces",
    Role.LANDMARKER: "a network that finds the points of a face",
    Role.SMALL_RECOGNIZER: "a recognizer that tells people apart and makes no faces",
    Role.ENHANCER: "a face enhancer",
}
_USES = {
    Role.SWAPPER: "a face is worn through a network that takes “source” and “target”, or through one that "
    "animates pictures. Choose another",
    Role.OCCLUDER: "an XSeg, a face parser or a network of faces or hair is needed. Choose another",
    Role.DETECTOR: "one that finds faces is needed. Choose another",
    Role.LANDMARKER: "one that finds the points of a face is needed. Choose another",
    Role.ENHANCER: "one that makes faces finer is needed: GFPGAN, GPEN or CodeFormer. Choose another",
    Role.SMALL_RECOGNIZER: "one that tells people apart is needed: ArcFace or MobileFaceNet. Choose another",
}


@dataclass(frozen=True, slots=True)
class OwnNetwork:
    """A file by the name the user sees."""

    name: str
    path: Path
    role: Role


def installed(more: Sequence[Path] = ()) -> list[OwnNetwork]:
    """All networks of the folder and of more folders, sorted by name; the first of two names counts."""
    found: dict[str, OwnNetwork] = {}
    for folder in (folders.networks_dir(), *more):
        for path in _files(folder):
            role = role_of(path)
            if role is not None and path.stem not in found:
                found[path.stem] = OwnNetwork(path.stem, path, role)
    return sorted(found.values(), key=lambda network: network.name.casefold())


def useless() -> list[Path]:
    """The files of the folder that are no networks of use here."""
    return [path for path in _files(folders.networks_dir()) if role_of(path) is None]


def find(name_or_path: str, more: Sequence[Path] = (), roles: Sequence[Role] = WORN) -> OwnNetwork:
    """The network of that name, or at that path, that does one of these things.

    Raises:
        ModelMissingError: there is none.
        UnsupportedModelError: it is for something else.
    """
    known = {network.name: network for network in installed(more)}
    path = Path(name_or_path).expanduser()
    if name_or_path not in known and not path.is_file():
        names = ", ".join(name for name, network in known.items() if network.role in roles) or "none"
        raise ModelMissingError(
            f"There is no network “{name_or_path}”. Installed are: {names}. Put its {SUFFIX} file into "
            f"{folders.networks_dir()}, or give its path."
        )
    network = known.get(name_or_path) or _at(path)
    if network.role not in roles:
        raise UnsupportedModelError(f"{network.name} is {_WORDS[network.role]}; here {_USES[roles[0]]}.")
    return network


def recognizer_for(network: OwnNetwork, more: Sequence[Path] = ()) -> Path:
    """The recognition network that tells a one-photo network whose face it is; raises ModelMissingError."""
    known = [other for other in _beside(network, more) if other.role is Role.RECOGNIZER]
    if not known:
        raise ModelMissingError(
            f"{network.name} needs a recognition network as well: an ArcFace {SUFFIX} file that takes "
            f"(1, 3, 112, 112) and gives {_LATENT} numbers, usually called w600k_r50. Put it into "
            f"{folders.networks_dir()}."
        )
    return min(
        known, key=lambda other: [usual not in other.name.lower() for usual in _USUAL_RECOGNIZERS]
    ).path


def converter_for(network: OwnNetwork, family: str, more: Sequence[Path] = ()) -> Path:
    """The network that makes ArcFace's numbers those of another family; raises ModelMissingError.

    It has “crossface” or “converter” in its name, and its family's name: ghost, simswap, hififace.
    """
    family = family.partition("_")[0]
    for other in _beside(network, more):
        name = other.name.lower()
        if other.role is Role.CONVERTER and family in name and any(word in name for word in _CONVERTER_NAMES):
            return other.path
    raise ModelMissingError(
        f"{network.name} needs a converter as well: an {SUFFIX} file that takes {_LATENT} numbers and gives "
        f"{_LATENT}, called crossface_{family}. Put it into {folders.networks_dir()}."
    )


def add(path: Path, name: str | None = None) -> OwnNetwork:
    """Copies a network to the folder.

    Raises:
        ModelMissingError: there is no such file.
        UnsupportedModelError: it is of no use for photo faces.
        ModelError: the name is taken or no name, or writing failed.
    """
    if not path.expanduser().is_file():
        raise ModelMissingError(f"There is no file {path}. Choose another.")
    source = _at(path.expanduser())
    target = folders.networks_dir() / f"{name or source.name}{SUFFIX}"
    if target.parent != folders.networks_dir() or target.name.startswith("."):
        raise ModelError(f"“{name}” cannot be a network's name. Use a text without slashes.")
    if target.exists():
        raise ModelError(f"There is a network called “{target.stem}” already. Give another name.")
    try:
        _copy(source.path, target)
    except OSError as error:
        raise ModelError(
            f"{target} cannot be written ({error.strerror or error}). Free some space and try again."
        ) from error
    return OwnNetwork(target.stem, target, source.role)


def role_of(path: Path) -> Role | None:
    """What a file is for; None for a file that is of no use here."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return _role(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _role(path: Path, _size: int, _mtime_ns: int) -> Role | None:
    contract = contract_of(path)
    return _told(contract) if contract is not None else None


def _told(contract: Contract) -> Role | None:
    names, shapes = set(contract.inputs), list(contract.inputs.values())
    given = next(iter(contract.outputs.values()))
    if names == _SWAPPER:
        return Role.SWAPPER
    if names == _ANIMATOR:
        return Role.ANIMATOR
    seen = shapes[0][1:], given[1:]
    if len(shapes) == 1 and seen == PARSING:  # parsers may give coarser masks as well
        return Role.PARSER
    if len(shapes) == len(contract.outputs) == 1 and seen in (MASKING, HAIR):
        return Role.OCCLUDER
    if _is_enhancer(shapes, given):
        return Role.ENHANCER
    if is_detector(contract):
        return Role.DETECTOR
    if is_landmarker(contract):
        return Role.LANDMARKER
    if len(shapes) != 1 or given[-1:] not in ((), (-1,), (_LATENT,), (_SMALL_LATENT,)):
        return None
    if shapes[0][1:] == _FACE:
        return Role.SMALL_RECOGNIZER if given[-1:] == (_SMALL_LATENT,) else Role.RECOGNIZER
    return Role.CONVERTER if len(shapes[0]) == 2 and shapes[0][-1] == _LATENT else None


def _is_enhancer(shapes: Sequence[Shape], given: Shape) -> bool:
    """Whether a picture becomes one like it; CodeFormer's kind also takes a number."""
    pictures = [shape for shape in shapes if len(shape) == 4]
    numbers = [shape for shape in shapes if len(shape) < 2]
    if len(pictures) != 1 or len(numbers) > 1 or len(pictures) + len(numbers) != len(shapes):
        return False
    size = pictures[0][1:]
    is_face = size in [(3, side, side) for side in _ENHANCED_SIDES]
    return is_face and given[1:] in (size, (3, -1, -1))


def _at(path: Path) -> OwnNetwork:
    role = role_of(path)
    if role is None:
        raise UnsupportedModelError(
            f"{path.name} is no network that is of use here: its inputs are those of none that is known, or "
            "the file is cut off. See docs/models.md, or choose another."
        )
    return OwnNetwork(path.stem, path, role)


def _beside(network: OwnNetwork, more: Sequence[Path]) -> list[OwnNetwork]:
    return installed((network.path.parent, *more))


def _files(folder: Path) -> list[Path]:
    try:
        entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError:
        return []  # it is not there yet, or cannot be read: whoever needs one of its files is told
    files = [path for path in entries if path.suffix.lower() == SUFFIX and path.is_file()]
    return sorted(files, key=lambda path: path.name.casefold())


def _copy(source: Path, target: Path) -> None:
    """Copies beside the target and moves it there, so that no half network ever shows in the list."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".adding-", dir=target.parent) as work:
        made = Path(work) / "network"
        shutil.copyfile(source, made)
        made.rename(target)
