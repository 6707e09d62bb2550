"""How the head in the clip moves: talking, looking, blinking, smiling; the last frame joins the first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Mouth shapes for groups of sounds; weights of the head's expression shapes.
_SOUNDS: dict[str, dict[str, float]] = {
    "rest": {},
    "ah": {
        "jawOpen": 0.34,
        "mouthLowerDown_L": 0.15,
        "mouthLowerDown_R": 0.15,
        "mouthUpperUp_L": 0.12,
        "mouthUpperUp_R": 0.12,
    },
    "eh": {
        "jawOpen": 0.19,
        "mouthStretch_L": 0.25,
        "mouthStretch_R": 0.25,
        "mouthLowerDown_L": 0.3,
        "mouthLowerDown_R": 0.3,
        "mouthUpperUp_L": 0.2,
        "mouthUpperUp_R": 0.2,
    },
    "ee": {
        "jawOpen": 0.09,
        "mouthSmile_L": 0.3,
        "mouthSmile_R": 0.3,
        "mouthLowerDown_L": 0.4,
        "mouthLowerDown_R": 0.4,
        "mouthUpperUp_L": 0.25,
        "mouthUpperUp_R": 0.25,
    },
    "oh": {"jawOpen": 0.24, "mouthFunnel": 0.5, "mouthPucker": 0.15},
    "oo": {"jawOpen": 0.08, "mouthPucker": 0.65, "mouthFunnel": 0.25},
    "mm": {"mouthPress_L": 0.35, "mouthPress_R": 0.35, "mouthRollLower": 0.25, "mouthRollUpper": 0.2},
    "ff": {"jawOpen": 0.05, "mouthRollLower": 0.5, "mouthUpperUp_L": 0.2, "mouthUpperUp_R": 0.2},
    "grin": {
        "mouthSmile_L": 0.85,
        "mouthSmile_R": 0.8,
        "cheekSquint_L": 0.5,
        "cheekSquint_R": 0.5,
        "jawOpen": 0.07,
        "mouthUpperUp_L": 0.25,
        "mouthUpperUp_R": 0.25,
        "mouthLowerDown_L": 0.2,
        "mouthLowerDown_R": 0.2,
    },
}

# What is "said", as (share of the clip at which the shape is reached, shape).
_SPEECH = (
    (0.000, "rest"),
    (0.030, "rest"),
    (0.055, "eh"),
    (0.075, "ee"),
    (0.095, "mm"),
    (0.115, "ah"),
    (0.140, "ah"),
    (0.160, "ff"),
    (0.180, "oh"),
    (0.205, "oo"),
    (0.230, "eh"),
    (0.250, "mm"),
    (0.270, "ee"),
    (0.295, "ah"),
    (0.320, "rest"),
    (0.355, "rest"),
    (0.380, "oh"),
    (0.405, "ah"),
    (0.430, "mm"),
    (0.450, "eh"),
    (0.475, "ee"),
    (0.500, "oo"),
    (0.525, "ah"),
    (0.550, "ff"),
    (0.575, "eh"),
    (0.600, "rest"),
    (0.650, "grin"),
    (0.740, "grin"),
    (0.790, "mm"),
    (0.815, "ah"),
    (0.840, "ee"),
    (0.865, "oh"),
    (0.890, "mm"),
    (0.910, "eh"),
    (0.940, "rest"),
    (1.000, "rest"),
)

# (share of the clip, degrees)
_YAW = (
    (0.0, 4),
    (0.12, -5),
    (0.24, -17),
    (0.36, -8),
    (0.47, 12),
    (0.58, 21),
    (0.68, 6),
    (0.8, -4),
    (0.9, 3),
    (1.0, 4),
)
_PITCH = (
    (0.0, 0),
    (0.1, 3),
    (0.2, -2),
    (0.3, 2),
    (0.4, -3),
    (0.52, 2),
    (0.64, -2),
    (0.74, 4),
    (0.79, -4),
    (0.85, 6),
    (0.92, 1),
    (1.0, 0),
)
_ROLL = ((0.0, -1), (0.15, 3), (0.3, -3), (0.45, 2), (0.6, -4), (0.72, 5), (0.85, 1), (1.0, -1))
_BLINKS = (0.085, 0.335, 0.60, 0.865)
# The glance: the eyes lead and leave the camera: (share, degrees to the person's left, degrees up).
_GLANCE = (
    (0.0, 0, 0),
    (0.30, 0, 0),
    (0.325, -14, 4),
    (0.375, -14, 4),
    (0.40, 0, 0),
    (0.76, 0, 0),
    (0.775, 6, -8),
    (0.81, 5, -7),
    (0.83, 0, 0),
    (1.0, 0, 0),
)


@dataclass(frozen=True, slots=True)
class Pose:
    """One frame: degrees of the head's turn, cm of the body's sway, gaze in degrees, expression weights."""

    yaw: float
    pitch: float
    roll: float
    sway: tuple[float, float]
    gaze: tuple[float, float]
    weights: dict[str, float]


def _through(keys: tuple[tuple[float, float], ...], time: float) -> float:
    """A smooth periodic curve through (share, value) keys."""
    shares, values = np.array(keys, float).T
    fine = np.linspace(0, 1, 400, endpoint=False)
    line = np.interp(fine, shares, values)
    kernel = np.hanning(41)
    padded = np.concatenate([line[-20:], line, line[:20]])
    soft = np.convolve(padded, kernel / kernel.sum(), mode="valid")
    return float(np.interp(time, fine, soft, period=1.0))


def _speech(time: float) -> dict[str, float]:
    """The mouth at a moment: eased between the two neighboring shapes."""
    shares = [share for share, _ in _SPEECH]
    index = min(int(np.searchsorted(shares, time, side="right")) - 1, len(_SPEECH) - 2)
    (start, first), (end, second) = _SPEECH[index], _SPEECH[index + 1]
    t = (time - start) / (end - start)
    t = t * t * (3 - 2 * t)
    names = _SOUNDS[first].keys() | _SOUNDS[second].keys()
    return {n: (1 - t) * _SOUNDS[first].get(n, 0.0) + t * _SOUNDS[second].get(n, 0.0) for n in names}


def _blink(time: float, seconds: float) -> float:
    """How far the lids are closed: about 0.1 s down, 0.15 s up."""
    closed = 0.0
    for moment in _BLINKS:
        since = (time - moment) * seconds
        shape = np.interp(since, [-0.11, -0.02, 0.03, 0.18], [0.0, 1.0, 1.0, 0.0])
        closed = max(closed, float(shape))
    return closed


def _gaze(time: float, yaw: float, pitch: float) -> tuple[float, float]:
    """Eyes in the head, degrees left and up: they hold the camera while the head turns, but glance away."""
    shares, left, up = np.array(_GLANCE, float).T
    hold = 0.75
    return float(np.interp(time, shares, left)) - hold * yaw, float(
        np.interp(time, shares, up)
    ) + hold * pitch


def _lids(gaze: tuple[float, float], blink: float) -> dict[str, float]:
    """The lids follow the gaze and close for a blink."""
    left, up = gaze
    weights = {}
    for side, sign in (("L", 1.0), ("R", -1.0)):
        weights[f"eyeBlink_{side}"] = blink
        weights[f"eyeLookUp_{side}"] = max(up, 0) / 30 * (1 - blink)
        weights[f"eyeLookDown_{side}"] = max(-up, 0) / 30 * (1 - blink)
        weights[f"eyeLookOut_{side}"] = max(sign * left, 0) / 30 * (1 - blink)
        weights[f"eyeLookIn_{side}"] = max(-sign * left, 0) / 30 * (1 - blink)
    return weights


def pose(time: float, seconds: float) -> Pose:
    """The head at a moment: `time` is 0..1 of a clip of `seconds`."""
    yaw, pitch, roll = _through(_YAW, time), _through(_PITCH, time), _through(_ROLL, time)
    gaze = _gaze(time, yaw, pitch)
    weights = _speech(time) | _lids(gaze, _blink(time, seconds))
    lift = max(0.0, np.sin(2 * np.pi * (time * 3 + 0.1))) ** 2
    weights["browInnerUp_L"] = weights["browInnerUp_R"] = 0.30 * lift
    weights["browOuterUp_L"] = weights["browOuterUp_R"] = 0.25 * lift
    aside = 0.5 * np.sin(2 * np.pi * time) + 0.25 * np.sin(6 * np.pi * time)
    up = 0.12 * np.sin(4 * np.pi * time + 1)
    return Pose(yaw, pitch, roll, (float(aside), float(up)), gaze, weights)


def portrait(yaw: float, pitch: float, smile: float) -> Pose:
    """A still face that looks into the camera with a closed mouth."""
    weights = {"mouthSmile_L": smile, "mouthSmile_R": smile * 0.95, "eyeSquint_L": 0.3, "eyeSquint_R": 0.3}
    gaze = (-yaw, pitch)
    return Pose(yaw, pitch, 0.0, (0.0, 0.0), gaze, weights | _lids(gaze, 0.10))
