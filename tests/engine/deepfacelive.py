"""DeepFaceLive's mathematics, written slowly from its description to be run beside the engine's.

Its defects are here too, each told as one; the tests hold the engine away from them. Nothing here imports
the code under test. Pictures are BGR, (H, W, 3), float64 0..1; pixel centers lie at whole numbers.
"""

from collections import deque

import cv2
import numpy as np
from engine import reference

# Eyes, nose tip, mouth corners in the unit crop at coverage 2.2, with the aligner's inner shift of 0.08 up.
FIVE_POINTS = np.array(
    [[0.3742, 0.4152], [0.6166, 0.4147], [0.4956, 0.5487], [0.4008, 0.6675], [0.5909, 0.6672]]
)
# The same of the mean face that DeepFaceLab's whole-face models were trained on.
WHOLE_FACE_POINTS = np.array(
    [[0.3712, 0.3996], [0.6195, 0.3996], [0.4954, 0.5402], [0.3847, 0.6643], [0.6061, 0.6643]]
)
COVERAGE = 2.2
RESOLUTION = 224

_LEFT_EYE = [33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7]
_RIGHT_EYE = [263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249]


def five(mesh):
    """Eyes, nose tip and mouth corners (5, 2) of a face mesh (468, 2)."""
    eyes = [mesh[eye].mean(axis=0) for eye in (_LEFT_EYE, _RIGHT_EYE)]
    return np.stack([*eyes, mesh[1], mesh[61], mesh[291]]).astype(np.float64)


# --- alignment ---


def umeyama(source, target):
    """The similarity (2, 3) that takes points closest to others (S. Umeyama, 1991)."""
    center, goal = source.mean(axis=0), target.mean(axis=0)
    a, b = source - center, target - goal
    left, values, right = np.linalg.svd(b.T @ a)
    signs = np.array([1.0, np.sign(np.linalg.det(left @ right))])
    turn = (left * signs) @ right * ((values * signs).sum() / (a**2).sum())
    return np.column_stack([turn, goal - turn @ center])


def crop_matrix(mesh, size, coverage=COVERAGE, x_offset=0.0, y_offset=0.0):
    """Frame to crop; the offsets are in sides of the square around the face, which coverage counts in."""
    targets = 0.5 + (FIVE_POINTS - 0.5) * (COVERAGE / coverage) - np.array((x_offset, y_offset)) / coverage
    return umeyama(five(mesh), targets * size - 0.5)


def cut(picture, matrix, size):
    """The crop of a picture, cubic; black beyond the frame."""
    return cv2.warpAffine(picture, np.asarray(matrix, np.float64), (size, size), flags=cv2.INTER_CUBIC)


def corner_matrix(corners_of_crop, size):
    """DEFECT: frame to crop with the square's corners taken for the pixels 0 and `size` of the crop."""
    corners = np.float32([[0, 0], [size, 0], [0, size]])
    return cv2.getAffineTransform(np.float32(corners_of_crop), corners)


def frozen_shift(yaw):
    """DEFECT: how far to the right freezing the rotation moves a crop, in sides of the square."""
    return -(yaw * abs(np.tanh(2 * yaw))) / 2


# --- the model's stage ---


def gamma(picture, red, green, blue):
    return np.clip(picture, 0, 1) ** (1 / np.array([blue, green, red]))


def post_gamma_swapped(picture, red, green, blue):
    """DEFECT: the green slider acts on blue and the blue one on green."""
    return gamma(picture, red, blue, green)


def model_stage(crop, network, presharpen=0.0, pre=(1, 1, 1), post=(1, 1, 1), two_pass=False):
    """The face and both masks; `network` takes a picture and gives live mask, face, celebrity's mask."""
    seen = crop * (1 + presharpen) - cv2.GaussianBlur(crop, (0, 0), 1.0) * presharpen
    live, face, celeb = network(gamma(seen, *pre))
    if two_pass:
        _, face, celeb = network(face)
    return live, gamma(face, *post), celeb


# --- colors ---


def rct(swapped, scene, mask):
    """Reinhard's transfer of a crop to a scene in Lab, by the mask of both.

    DEFECT: what the mask leaves out is made 0 and stays in means and deviations.
    """
    inside = mask > 0.5
    ours, theirs = (
        cv2.cvtColor(picture.astype(np.float32), cv2.COLOR_BGR2Lab).astype(np.float64)
        for picture in (swapped, scene)
    )
    moved = np.empty_like(ours)
    for channel in range(3):
        own, other = (np.where(inside, lab[..., channel], 0) for lab in (ours, theirs))
        moved[..., channel] = (ours[..., channel] - own.mean()) * other.std() / own.std() + other.mean()
    moved = np.clip(moved, (0, -127, -127), (100, 127, 127)).astype(np.float32)
    return np.clip(cv2.cvtColor(moved, cv2.COLOR_Lab2BGR), 0, 1).astype(np.float64)


# --- the mask and the merge ---


def graphics_card_mask(masks, erode):
    """DEFECT: what the OpenCL path makes of the masks, before the blur: black and white."""
    product = np.prod(masks, axis=0)
    return reference.erode_blur((product > 0.5).astype(np.float32), erode, 0)


def merged(picture, face, mask, matrix, settings):
    """The whole frame with the face in it; `settings` has face_scale, offset_x, offset_y and opacity."""
    size, middle = len(face), (len(face) - 1) / 2
    placed = np.array(matrix, np.float64)
    placed[:, 2] -= middle + np.array((settings.offset_x, settings.offset_y)) * size
    placed /= settings.face_scale
    placed[:, 2] += middle
    back, size_wh = cv2.WARP_INVERSE_MAP, (picture.shape[1], picture.shape[0])
    weights = cv2.warpAffine(mask.astype(np.float32), placed, size_wh, flags=back | cv2.INTER_LINEAR)
    weights = np.where(weights < 1 / 255, 0, weights)[..., None] * settings.opacity
    new = cv2.warpAffine(
        face, placed, size_wh, flags=back | cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return picture * (1 - weights) + new * weights


def compressed(picture, amount):
    """Fewer colors, each a little brighter; 0 leaves them."""
    if not amount:
        return picture
    levels = max(4, 127 - amount)
    return np.clip(np.floor(picture * levels) / levels + 2 / levels, 0, 1)


# --- time ---


class MeanOfLast:
    """The temporal smoothing: the mean of the last N landmark sets at each place in the list of faces; it
    starts anew when the number of faces changes. DEFECT: a place is no person, and a mean is late.
    """

    def __init__(self, count):
        self.count, self.last = count, []

    def step(self, faces):
        if len(faces) != len(self.last):
            self.last = [deque(maxlen=self.count) for _ in faces]
        for kept, face in zip(self.last, faces, strict=True):
            kept.append(face)
        return [np.mean(kept, axis=0) for kept in self.last]
