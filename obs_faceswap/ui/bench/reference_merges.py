"""How two other projects put a face back into its frame, rewritten from their published steps.

Whole frames of floating-point BGR, as they do it; only the figures of the benchmark need them.
"""

import cv2
import numpy as np
import numpy.typing as npt

from obs_faceswap.engine.types import ImageBGR, Mask, Matrix

Floats = npt.NDArray[np.float32]

_BLOCK_ROWS = 16  # numexpr, which DeepFaceLive computes with, works through pieces that fit into the cache


def deepfacelive(
    frame: ImageBGR, crop: ImageBGR, masks: tuple[Mask, Mask], to_crop: Matrix, erode: int = 5, blur: int = 25
) -> ImageBGR:
    """DeepFaceLive's FaceMerger on the CPU at its defaults, without its color transfer.

    Args:
        frame: (H, W, 3).
        crop: (S, S, 3), the swapped face.
        masks: (S, S) each, of the live and of the new face; their product is used.
        to_crop: frame to crop.
        erode: in half crop pixels.
        blur: four times the Gaussian's sigma in crop pixels.
    """
    mask = _eroded_and_blurred(masks[0] * masks[1], erode, blur)
    size_wh = frame.shape[1], frame.shape[0]
    inverse = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    weights = np.asarray(cv2.warpAffine(mask, to_crop, size_wh, flags=inverse), np.float32)
    weights[weights < 1 / 255] = 0
    face = cv2.warpAffine(_unit(crop), to_crop, size_wh, flags=inverse)
    return _blended(_unit(frame), np.asarray(face, np.float32), weights[..., None])


def _unit(image: ImageBGR) -> Floats:
    return image.astype(np.float32) * np.float32(1 / 255)


def _eroded_and_blurred(mask: Mask, erode: int, blur: int) -> Floats:
    """Padded by its own size on all sides, as there."""
    side = mask.shape[0]
    padded = cv2.copyMakeBorder(mask, side, side, side, side, cv2.BORDER_CONSTANT)
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    padded = cv2.erode(padded, ellipse, iterations=max(1, erode // 2))
    edge = side + blur // 2
    padded[:edge] = padded[-edge:] = 0
    padded[:, :edge] = padded[:, -edge:] = 0
    padded = cv2.GaussianBlur(padded, (0, 0), blur * 0.25)
    return np.asarray(padded[side:-side, side:-side], np.float32)


def _blended(frame: Floats, face: Floats, weights: Floats) -> ImageBGR:
    """frame * (1 - weights) + face * weights, as bytes."""
    merged = np.empty_like(frame)
    for row in range(0, len(frame), _BLOCK_ROWS):
        rows = slice(row, row + _BLOCK_ROWS)
        merged[rows] = frame[rows] * (1 - weights[rows]) + face[rows] * weights[rows]
    return np.asarray(cv2.convertScaleAbs(merged, alpha=255), np.uint8)


def insightface(frame: ImageBGR, crop: ImageBGR, to_crop: Matrix) -> ImageBGR:
    """The paste-back of insightface's INSwapper, without the difference mask it computes and does not use.

    The crop's whole square is pasted, with an edge as soft as the square is large in the frame.
    """
    size_wh = frame.shape[1], frame.shape[0]
    inverse = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    face = cv2.warpAffine(crop, to_crop, size_wh, flags=inverse)
    white = np.full(crop.shape[:2], 255, np.float32)
    mask = np.asarray(cv2.warpAffine(white, to_crop, size_wh, flags=inverse), np.float32)
    mask[mask > 20] = 255
    rows, columns = np.where(mask == 255)
    side = int(np.sqrt(np.ptp(rows) * np.ptp(columns)))
    erode, blur = max(side // 10, 10), max(side // 20, 5)
    smaller = cv2.erode(mask, np.ones((erode, erode), np.uint8))
    soft = cv2.GaussianBlur(smaller, (2 * blur + 1, 2 * blur + 1), 0)
    weights = (soft / 255)[..., None]
    merged = weights * face + (1 - weights) * frame.astype(np.float32)
    return merged.astype(np.uint8)
