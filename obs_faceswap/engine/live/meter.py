"""Sums up what the governor has to know of each second. Standard library only."""

from dataclasses import dataclass, replace

from obs_faceswap.engine.live.governor import Observation
from obs_faceswap.engine.runtime import providers

_SHORTEST_S = 0.5  # shorter spans have too few frames to say anything


@dataclass(frozen=True, slots=True)
class Host:
    """How the program that shows the frames fares; counts rise from its start on.

    Attributes:
        shown: frames that it made.
        late: frames that came late or were left out.
        load: part of the time for one frame that it needed lately.
    """

    shown: int
    late: int
    load: float


@dataclass(frozen=True, slots=True)
class _Sums:
    """Everything that was counted until a moment."""

    at_s: float
    frames_in: int
    frames: int
    frame_ms: float
    swaps: int
    swap_ms: float
    front_ms: float
    host: Host | None


class Meter:
    """Counts what one engine does. Frames and swaps may be noted on different threads, each on one."""

    def __init__(self, provider: str) -> None:
        """Starts at zero; `provider` is the device that swaps run on."""
        cores = providers.usable_processors()
        is_cpu = providers.family(provider) == providers.CPU
        self._frame_share = 1.0 / cores
        self._swap_share = providers.default_threads() / cores if is_cpu else 1.0
        self._is_cpu = is_cpu
        self._frames = self._swaps = 0
        self._frame_ms = self._swap_ms = self._front_ms = 0.0
        self._last: _Sums | None = None

    def note_frame(self, ms: float, front_ms: float = 0.0) -> None:
        """Notes a finished frame, its time without its swap, and how much of it went to what is in front."""
        self._frames += 1
        self._frame_ms += ms
        self._front_ms += front_ms

    def note_swap(self, ms: float) -> None:
        """Notes one run of the swap."""
        self._swaps += 1
        self._swap_ms += ms

    def take(
        self, now_s: float, frames_in: int, host: Host | None, is_reprojected: bool = False
    ) -> Observation | None:
        """What happened since the last time; None while there is nothing to compare with.

        Args:
            now_s: the time, on any steady clock.
            frames_in: frames that came in since the start.
            host: how the program fares; None where nothing is known.
            is_reprojected: whether frames show swaps of earlier ones now.
        """
        last = self._last
        if last is not None and now_s - last.at_s < _SHORTEST_S:
            return None
        self._last = _Sums(
            now_s, frames_in, self._frames, self._frame_ms, self._swaps, self._swap_ms, self._front_ms, host
        )
        if last is None:
            return None
        return replace(self._between(last, self._last), is_reprojected=is_reprojected)

    def _between(self, last: _Sums, now: _Sums) -> Observation:
        seconds = now.at_s - last.at_s
        frames, swaps = now.frames - last.frames, now.swaps - last.swaps
        frame_ms, swap_ms = now.frame_ms - last.frame_ms, now.swap_ms - last.swap_ms
        shown = max(0, now.host.shown - last.host.shown) if now.host and last.host else 0
        late = max(0, now.host.late - last.host.late) if now.host and last.host else 0
        return Observation(
            now_s=now.at_s,
            camera_fps=(now.frames_in - last.frames_in) / seconds,
            fps=frames / seconds,
            swap_fps=swaps / seconds,
            frame_ms=frame_ms / frames if frames else 0.0,
            swap_ms=swap_ms / swaps if swaps else 0.0,
            front_ms=(now.front_ms - last.front_ms) / frames if frames else 0.0,
            share=self._share(frame_ms / 1000 / seconds, swap_ms / 1000 / seconds),
            shown=shown,
            late=late,
            host_load=now.host.load if now.host else 0.0,
        )

    def _share(self, frame_busy: float, swap_busy: float) -> float:
        """Of the processors, or of a graphics card where that is the larger part."""
        frame_share, swap_share = frame_busy * self._frame_share, swap_busy * self._swap_share
        return min(1.0, frame_share + swap_share if self._is_cpu else max(frame_share, swap_share))
