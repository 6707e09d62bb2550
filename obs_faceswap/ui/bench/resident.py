"""How much memory this process really occupies. Standard library only."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")


def resident_mb() -> float:
    """Megabytes (2^20 bytes) in memory now."""
    if sys.platform == "win32":
        return _windows_bytes() / 2**20
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, check=True)
    return int(told.stdout) / 2**10


class _Counters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of psapi.h."""

    _fields_ = (
        ("size", ctypes.c_uint32),
        ("page_faults", ctypes.c_uint32),
        ("peak_working_set", ctypes.c_size_t),
        ("working_set", ctypes.c_size_t),
        ("others", ctypes.c_size_t * 6),
    )


def _windows_bytes() -> int:
    counters = _Counters(size=ctypes.sizeof(_Counters))
    if sys.platform == "win32":
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        kernel.GetCurrentProcess.restype = ctypes.c_void_p
        get = kernel.K32GetProcessMemoryInfo
        get.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
        if not get(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.size):
            raise ctypes.WinError(ctypes.get_last_error())
    return int(counters.working_set)
