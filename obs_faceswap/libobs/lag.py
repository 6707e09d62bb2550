"""How OBS itself fares: frames that it rendered late or could not encode in time. Standard library only."""

from functools import cache
from typing import Any

from obs_faceswap.engine.live.meter import Host
from obs_faceswap.libobs import abi


class Lag:
    """Reads OBS's own figures. One per process: OBS may hold its callback's address for a while."""

    def __init__(self, api: Any) -> None:
        """Reads nothing yet."""
        self._obs = api
        self._skipped = 0
        self._is_asked = False
        self._task = abi.Task(self._count_skipped)

    def read(self) -> Host:
        """The figures of now. Any thread but OBS's graphics thread may ask; it waits for nobody.

        The encoder's skipped frames are those of the last time: OBS frees what counts them when the user
        changes video settings, so they are read on the thread that does that.
        """
        if not self._is_asked:
            self._is_asked = True
            self._obs.obs_queue_task(abi.OBS_TASK_UI, self._task, None, False)
        interval_ns = self._obs.obs_get_frame_interval_ns()
        return Host(
            shown=self._obs.obs_get_total_frames(),
            late=self._obs.obs_get_lagged_frames() + self._skipped,
            load=self._obs.obs_get_average_frame_time_ns() / interval_ns if interval_ns else 0.0,
        )

    def _count_skipped(self, _own: int | None) -> None:
        """On OBS's UI thread."""
        self._is_asked = False
        video = self._obs.obs_get_video()
        self._skipped = self._obs.video_output_get_skipped_frames(video) if video else 0


@cache
def lag(api: Any) -> Lag:
    """The one of an OBS, and so of the process."""
    return Lag(api)
