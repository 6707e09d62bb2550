"""How an OBS has ended: by a crash of its own websocket server, or by any other."""

import signal
import subprocess
import sys

import pytest

from obs_faceswap.ui import throwaway_obs
from obs_faceswap.ui.obs_config import Collection
from obs_faceswap.ui.throwaway_obs import ThrowawayObs, WebSocketCrashError

STOPS = "info: All scene data cleared\ninfo: [obs-websocket] [obs_module_unload] Shutting down...\n"
STOPPED = "info: [obs-websocket] [WebSocketServer::ServerRunner] IO thread exited.\n"
FATAL = "Fatal Python error: Segmentation fault\n\n"
NOT_OF_PYTHON = "Thread 0x00007f4d14c44400 (most recent call first):\n  <no Python frame>\n"
OF_PYTHON = 'Current thread 0x00007f4cc000f6c0 (most recent call first):\n  File "a.py", line 1 in f\n'
MODULES = "\nExtension modules: _obspython (total: 1)\n"


@pytest.fixture
def ended(monkeypatch):
    """Returns the exit code, or raises, as of an OBS that has left with this code and log."""
    monkeypatch.setattr(throwaway_obs, "find_obs", lambda: "obs")

    def end(code, log):
        leaves = f"import os; os.kill(os.getpid(), {-code})" if code < 0 else f"raise SystemExit({code})"
        obs = ThrowawayObs(Collection([]))
        try:
            obs._log_path.write_text(log)
            obs._process = subprocess.Popen([sys.executable, "-c", leaves])
            obs._process.wait()
            return obs.quit()
        finally:
            obs.close()

    return end


@pytest.mark.parametrize("last", ["", f"{FATAL}{NOT_OF_PYTHON}{MODULES}"], ids=["silent", "told by Python"])
def test_a_crash_while_the_websocket_server_stops_is_told_apart(ended, last):
    with pytest.raises(WebSocketCrashError, match=r"OBS's own websocket server"):
        ended(-signal.SIGSEGV, STOPS + last)


@pytest.mark.parametrize(
    ("code", "log"),
    [
        (0, STOPS),
        (1, STOPS),
        (-signal.SIGABRT, STOPS),
        (-signal.SIGSEGV, ""),
        (-signal.SIGSEGV, f"info: All scene data cleared\n{FATAL}{NOT_OF_PYTHON}{MODULES}"),
        (-signal.SIGSEGV, f"{STOPS}{FATAL}{OF_PYTHON}{MODULES}"),
        (-signal.SIGSEGV, f"{STOPS}{FATAL}{NOT_OF_PYTHON}{OF_PYTHON}{MODULES}"),
        (-signal.SIGSEGV, f"{STOPS}{STOPPED}{FATAL}{NOT_OF_PYTHON}{MODULES}"),
        (-signal.SIGSEGV, f"{STOPS}{STOPPED}"),
    ],
)
def test_every_other_end_is_the_exit_code(ended, code, log):
    assert ended(code, log) == code
