"""The settings of speed, delay and sound, see `settings`. Standard library only."""

from typing import Any

from obs_faceswap.engine.choices import Delay, Reprojection, Target
from obs_faceswap.engine.options import PERFORMANCE, SOUND, Kind, Shown, declare, number

TARGET: Any = declare(
    Kind.CHOICE, Target.OFF, "Target",
    "What gives way when the machine is busy. “Smooth picture” keeps the frame rate below; “Leave the "
    "game alone” uses the least that still looks right. The status says what was done.",
    PERFORMANCE,
    choices=(
        (Target.OFF, "Off (always the best picture)"),
        (Target.SMOOTH, "Smooth picture"),
        (Target.GAME, "Leave the game alone"),
    ),
)  # fmt: skip
TARGET_FPS: Any = number(
    0.0, 0.0, 120.0, 1.0, "Target frame rate",
    "Frames a second to keep up: the nearest even part of the camera's rate. 0 is the camera's own.",
    PERFORMANCE,
)  # fmt: skip
REPROJECTION: Any = declare(
    Kind.CHOICE, Reprojection.AUTO, "Reprojection",
    "Shows every frame of the camera even where the network is slower: in between, its newest face is "
    "moved to where yours is now. The face follows your head at once, its expression a little later.",
    PERFORMANCE,
    choices=(
        (Reprojection.AUTO, "Automatic (where the network is slower than the camera)"),
        (Reprojection.YES, "Yes"),
        (Reprojection.NO, "No (a lower frame rate)"),
    ),
)  # fmt: skip
DELAY: Any = declare(
    Kind.CHOICE, Delay.AUTO, "Delay",
    "A steady delay makes motion even and lets sound fit. Automatic takes the smallest that holds; the "
    "status shows it.",
    SOUND,
    choices=(
        (Delay.AUTO, "Automatic"),
        (Delay.FIXED, "Fixed"),
        (Delay.OFF, "Off (each picture as soon as it is done)"),
    ),
)  # fmt: skip
DELAY_MS: Any = number(
    500.0, 0.0, 5000.0, 1.0, "Fixed delay", "From your camera to the picture in OBS.", SOUND, unit="ms",
    shown=Shown.FIXED_DELAY, deepfacelive="target_delay 500",
)  # fmt: skip
SYNC_AUDIO: Any = declare(
    Kind.AUDIO, "", "Sound to delay",
    "Choose your microphone: its sync offset in OBS follows the delay, and goes back to your own value "
    "when the filter is switched off or removed. A source's own sound needs nothing: OBS delays it with "
    "the picture.",
    SOUND,
)  # fmt: skip
