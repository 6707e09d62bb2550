"""Which networks find faces or follow them, told by what they take and give. Standard library only.

A list of networks must be quick and work without packages; the classes that run them look again
(`detect.detector_for`, `landmarkers.landmarker_for`), and a test holds that both agree.
"""

from collections.abc import Callable

from obs_faceswap.engine.runtime.onnx_contract import Contract, Shape

_YUNET = {f"{part}_{stride}" for part in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)}
_BLAZE = [(896, 1), (896, 16)]
_SCRFD = ([1] * 3 + [4] * 3, [1] * 3 + [4] * 3 + [10] * 3)
_YOLO5 = 48  # three anchors a cell, 16 numbers each
_CENTER = ([1, 2, 2], [1, 2, 2, 10])
_S3FD = (2, 4) * 6
_ULTRA = [2, 4]
_MESH, _MESH_68, _MESH_106 = (3 * 468, 3 * 478), (2 * 68, 143), 2 * 106


def is_detector(contract: Contract) -> bool:
    """Whether a network finds faces in a picture."""
    if not _takes_a_picture(contract):
        return False
    shapes = [shape for shape in contract.outputs.values() if shape]
    return set(contract.outputs) >= _YUNET or any(fits(shapes) for fits in _DETECTORS)


def is_landmarker(contract: Contract) -> bool:
    """Whether a network finds the points of the face in a square."""
    if not _takes_a_picture(contract):
        return False
    (seen,) = contract.inputs.values()
    shapes = [shape for shape in contract.outputs.values() if shape]
    lasts = [shape[-1] for shape in shapes]
    if seen[3] == 3:
        return seen[1] == seen[2] and 1 in lasts and any(width in lasts for width in _MESH)
    is_alone = len(shapes) == 1 and (lasts[0] in _MESH_68 or lasts[0] == _MESH_106)
    is_fan = bool(shapes) and shapes[0][1:] == (68, 3)
    return seen[2] == seen[3] > 0 and (is_alone or is_fan)


def _takes_a_picture(contract: Contract) -> bool:
    shapes = list(contract.inputs.values())
    return len(shapes) == 1 and len(shapes[0]) == 4 and 3 in (shapes[0][1], shapes[0][3])


def _is_blazeface(shapes: list[Shape]) -> bool:
    return sorted(shape[1:] for shape in shapes) == _BLAZE


def _is_scrfd(shapes: list[Shape]) -> bool:
    return [shape[-1] for shape in shapes] in _SCRFD


def _is_yolo5face(shapes: list[Shape]) -> bool:
    return len(shapes) == 3 and all(len(shape) == 4 and shape[1] == _YOLO5 for shape in shapes)


def _is_centerface(shapes: list[Shape]) -> bool:
    return all(len(shape) == 4 for shape in shapes) and [shape[1] for shape in shapes] in _CENTER


def _is_s3fd(shapes: list[Shape]) -> bool:
    return len(shapes) == len(_S3FD) and all(
        len(shape) == 4 and values in (shape[1], shape[3])
        for shape, values in zip(shapes, _S3FD, strict=True)
    )


def _is_ultraface(shapes: list[Shape]) -> bool:
    return [len(shape) for shape in shapes] == [3, 3] and sorted(shape[-1] for shape in shapes) == _ULTRA


_DETECTORS: tuple[Callable[[list[Shape]], bool], ...] = (
    _is_blazeface, _is_scrfd, _is_yolo5face, _is_centerface, _is_s3fd, _is_ultraface,
)  # fmt: skip
