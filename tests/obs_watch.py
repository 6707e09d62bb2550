"""Watching a running OBS: whether it goes on, where it hangs and what it costs."""

import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from obs_faceswap.ui.obs_websocket import ObsError

LONGEST_STILL_S = 20.0  # without a new frame OBS counts as hung; software rendering stops for seconds at most
_STACKS_S = 60.0
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class HangError(AssertionError):
    """OBS does not go on; the message says where its threads are."""


def stacks(pid):
    """Where those threads of a process are that wait for a lock or are in Python, as far as can be said."""
    if shutil.which("gdb") is None:
        os.kill(pid, signal.SIGABRT)  # Python's fault handler writes its threads into OBS's log
        return "gdb is not installed; the log ends with the Python threads."
    command = ["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 25"]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, timeout=_STACKS_S
    )
    threads = re.split(r"\n(?=Thread \d)", done.stdout)
    return "\n".join(thread for thread in threads if re.search("mutex_lock|[Pp]ython|_Py", thread))


@contextmanager
def hangs_are_told(obs):
    """Starts OBS, closes it at the end, and adds the threads' stacks where it stopped answering."""
    try:
        obs.start()
        yield obs
    except ObsError as error:
        if not obs.is_running():
            raise
        where = stacks(obs.pid)
        obs.kill()
        raise HangError(f"{error}\n{where}") from error
    finally:
        obs.close()


class Heartbeat:
    """Fails, like a request without an answer, once OBS has drawn nothing for LONGEST_STILL_S."""

    def __init__(self, obs):
        self._obs = obs
        self._frames = -1
        self._moved_s = time.monotonic()

    def beat(self):
        """Asks OBS for its statistics, returns them, and raises ObsError when its picture stands still."""
        stats = self._obs.request("GetStats")
        now_s = time.monotonic()
        if stats["renderTotalFrames"] != self._frames:
            self._frames, self._moved_s = stats["renderTotalFrames"], now_s
        if now_s - self._moved_s > LONGEST_STILL_S:
            raise ObsError(f"OBS has drawn no frame for {now_s - self._moved_s:.0f} s.")
        return stats


def resident_mb(pid):
    """The memory of a process that is in use now, in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_KB / 1024


def cpu_s(pid):
    """The processor time a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def slope_per_minute(seconds, values):
    """How much values grow a minute, by the straight line closest to them; 0 for fewer than three."""
    if len(values) < 3:
        return 0.0
    return float(np.polyfit(np.asarray(seconds) / 60, values, 1)[0])
