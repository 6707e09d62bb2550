"""Has the engine's threads give way to all others, a game's above all. Standard library only.

Linux: a nice value for each thread. Threads take it, and their name, from the one that starts them, which is
how the helper threads of ONNX Runtime and OpenCV are found. Measured beside two busy engine threads on two
processors: a game's 5 ms of work each 16 ms took 14 ms, 13 ms with SCHED_BATCH, and 5.7 ms with 10 more of
nice. Only a program with the right to (RLIMIT_NICE) may take a nice value back; else it stays until the
program ends, and `notice` says so. 10 more they always have, against OBS's own threads: in one OBS on two
processors 9 % of the frames were skipped without, 7 % with 5 more, 3 % with 10 more, and 3 % with the filter
off. Desktops put each program's threads in a group of its own, so that others take no more for it. And
they are SCHED_BATCH: else the worker that OBS's graphics thread wakes may take its processor at once, for
three milliseconds (99th percentile of `tick_sources` 4.7 ms without, 0.4 with).

Windows and macOS: the calling thread alone, both ways; helper threads keep their own priority.
"""

import ctypes
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

_NAME = "face swap"  # how the engine's threads are called; of at most 15 bytes the kernel keeps each
_TASKS = Path("/proc/self/task")
_NOT_OURS = tuple(f"{_NAME} {name}" for name in ("cover", "nurse", "sound"))  # as Python 3.14 calls threads
_NICE, _NICER = 10, 15  # more than the program has, of 0..19
_THREAD_PRIORITY_BELOW_NORMAL, _THREAD_PRIORITY_NORMAL = -1, 0
_QOS_CLASS_DEFAULT, _QOS_CLASS_UTILITY = 0x15, 0x11
_STAYS_LOW = (
    "The engine keeps its low priority until OBS is started again: this system lets no program raise it."
)


class System(Protocol):
    """How one operating system does it."""

    def begin(self) -> None:
        """Called once on each of the engine's threads that start others."""
        ...

    def set_low(self, low: bool) -> bool:
        """Lowers or restores; False where that is not allowed."""
        ...


class Linux:
    """By nice values of threads."""

    def begin(self) -> None:
        """Names the calling thread, and with it those that it starts, and has them let OBS go first."""
        _call_thread(_NAME)
        _set_nice(threading.get_native_id(), _nice_of_program() + _NICE)
        with suppress(OSError):  # as in a sandbox
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

    def set_low(self, low: bool) -> bool:
        """All threads of the engine."""
        nice = _nice_of_program() + (_NICER if low else _NICE)
        done = [_set_nice(thread, nice) for thread in self.threads()]  # all of them, whatever one says
        return all(done)

    def threads(self) -> list[int]:
        """The engine's threads; not the one that covers the picture, which must never be late."""
        tasks = _TASKS.iterdir() if _TASKS.is_dir() else ()
        names = {int(task.name): _name_of(task) for task in tasks}
        return [
            thread
            for thread, name in names.items()
            if name.startswith(_NAME) and not name.startswith(_NOT_OURS)
        ]


class Windows:
    """By the calling thread's priority."""

    def __init__(self, kernel32: Any) -> None:
        """Takes the library that has the functions."""
        self._library = kernel32
        kernel32.GetCurrentThread.restype = ctypes.c_void_p
        kernel32.SetThreadPriority.argtypes = ctypes.c_void_p, ctypes.c_int

    def begin(self) -> None:
        """Has nothing to do."""

    def set_low(self, low: bool) -> bool:
        """The calling thread."""
        priority = _THREAD_PRIORITY_BELOW_NORMAL if low else _THREAD_PRIORITY_NORMAL
        return bool(self._library.SetThreadPriority(self._library.GetCurrentThread(), priority))


class MacOS:
    """By the calling thread's quality-of-service class."""

    def __init__(self, libc: Any) -> None:
        """Takes the library that has the function."""
        self._library = libc
        libc.pthread_set_qos_class_self_np.argtypes = ctypes.c_uint, ctypes.c_int

    def begin(self) -> None:
        """Has nothing to do."""

    def set_low(self, low: bool) -> bool:
        """The calling thread."""
        wanted = _QOS_CLASS_UTILITY if low else _QOS_CLASS_DEFAULT
        return int(self._library.pthread_set_qos_class_self_np(wanted, 0)) == 0


class Priority:
    """Of the thread that makes and uses it; on Linux also of all other threads of the engine.

    Attributes:
        notice: what the user should know, or empty.
    """

    def __init__(self, system: System | None = None) -> None:
        """Call it on the thread itself, before that starts others."""
        self.notice = ""
        self._system = system or _this_system()
        self._is_low = False
        self._system.begin()

    def set_low(self, low: bool) -> None:
        """Lowers or restores; does nothing where it is so already."""
        if low == self._is_low:
            return
        self._is_low = low
        is_done = self._system.set_low(low)
        self.notice = "" if is_done or low else _STAYS_LOW


def yield_to_all(name: str) -> None:
    """Has the calling thread give way to all others while it lives; a name of its own keeps it so."""
    system = _this_system()
    if not isinstance(system, Linux):
        system.set_low(True)
        return
    _call_thread(name)  # threads of the engine's name get their usual priority back
    _set_nice(threading.get_native_id(), _nice_of_program() + _NICER)


def _call_thread(name: str) -> None:
    with suppress(OSError):  # a sandbox without /proc: then nothing is found to be lowered
        (_TASKS / str(threading.get_native_id()) / "comm").write_bytes(name.encode())


def _this_system() -> System:
    if sys.platform == "win32":
        return Windows(ctypes.WinDLL("kernel32"))
    if sys.platform == "darwin":
        return MacOS(ctypes.CDLL(None))
    return Linux()


def _name_of(task: Path) -> str:
    try:
        return (task / "comm").read_text(errors="replace").strip()
    except OSError:  # the thread has just ended
        return ""


def _nice_of_program() -> int:
    """Of its first thread."""
    return os.getpriority(os.PRIO_PROCESS, os.getpid())


def _set_nice(thread: int, nice: int) -> bool:
    try:
        os.setpriority(os.PRIO_PROCESS, thread, min(nice, 19))
    except ProcessLookupError:  # it has just ended
        return True
    except PermissionError:
        return False
    return True
