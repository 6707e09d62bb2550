"""Starts a real OBS Studio that shares nothing with the user's own.

It has a configuration folder of its own, a free websocket port, a random password and, without a screen, a
display of its own. Every answer comes from the process started here: the websocket asks for the password,
and the scene collection has a name nobody else uses.
"""

import base64
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from obs_faceswap.ui import obs_config
from obs_faceswap.ui.obs_config import Collection, ObsConfig
from obs_faceswap.ui.obs_websocket import ObsError, ObsRequestError, ObsWebSocket
from obs_faceswap.ui.virtual_display import VirtualDisplay, close_window

Json = dict[str, Any]

_ARGUMENTS = ("--multi", "--disable-updater", "--disable-missing-files-check", "--disable-shutdown-check")
_START_S = 120.0  # a first start with software rendering on a busy machine
_QUIT_S = 60.0
_NOT_READY = 207  # obs-websocket RequestStatus::NotReady
_LEAKS = re.compile(r"Number of memory leaks: (\d+)")
_WEBSOCKET_STOPS = "[obs-websocket] [obs_module_unload] Shutting down...\n"
# What OBS says after it, and what Python says of a crash in a thread that is one of its own.
_SAID_LATER = re.compile(r"^(info|warning|error): |^Current thread 0x", re.MULTILINE)
# A start whose environment names another Python would give OBS a foreign standard library.
_NOT_FOR_OBS = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "WAYLAND_DISPLAY")


def find_obs() -> str:
    """The path of the `obs` command.

    Raises:
        ObsError: it is not installed, or this system gives it no separate configuration.
    """
    if not sys.platform.startswith("linux"):
        raise ObsError("OBS takes a separate configuration on Linux only. Use “obs-faceswap swap” here.")
    found = shutil.which("obs")
    if found is None:
        raise ObsError("OBS Studio is not installed. On Debian or Ubuntu: apt-get install obs-studio.")
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _user_folder(variable: str, below_home: str) -> str:
    return os.environ.get(variable) or str(Path.home() / below_home)


class WebSocketCrashError(ObsError):
    """OBS's websocket server crashed while OBS left, when all scripts and sources were gone.

    The server's thread accepts on its listener (websocketpp 0.8.2, `server::handle_accept`) while OBS's main
    thread closes it. With OBS 29.0.2 that ends one exit in some hundreds, also without any script.
    """


class ThrowawayObs:
    """A running OBS; use it as a context manager, or call `start()` and `close()`.

    Args:
        collection: what it shows, and the script it loads.
        headless: on a display of its own with software rendering; else on the user's.
        canvas: width and height in pixels.
        fps: frames a second.
        lossless: whether recordings are lossless.
        environment: further environment variables for OBS.
        more_collections: scene collections by name, beside the first one.
        arguments: further arguments for the command `obs`.
        stop_s: how long a clean exit may take before `close()` kills it.

    Attributes:
        name: the unique name of its profile and of its scene collection.
        folder: where everything of it lies; removed by `close()`.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        headless: bool = True,
        canvas: tuple[int, int] = (640, 360),
        fps: int = 30,
        lossless: bool = False,
        environment: Mapping[str, str] | None = None,
        more_collections: Mapping[str, Collection] | None = None,
        arguments: Sequence[str] = (),
        stop_s: float = _QUIT_S,
    ) -> None:
        self.name = f"faceswap-{secrets.token_hex(6)}"
        self.folder = Path(tempfile.mkdtemp(prefix="obs-faceswap-"))
        self._headless = headless
        self._arguments = tuple(arguments)
        self._stop_s = stop_s
        self._environment = dict(environment or {})
        self._config = ObsConfig(
            name=self.name,
            port=_free_port(),
            password=secrets.token_urlsafe(16),
            collection=collection,
            recordings=self.folder / "recordings",
            canvas=canvas,
            fps=fps,
            lossless=lossless,
            more_collections=more_collections or {},
        )
        self._display: VirtualDisplay | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: ObsWebSocket | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def display(self) -> str:
        """The X display OBS is on."""
        return self._display.name if self._display else os.environ.get("DISPLAY", "")

    @property
    def pid(self) -> int:
        """OBS's process id."""
        return self._started().pid

    def start(self) -> None:
        """Starts OBS and returns once it serves requests.

        Raises:
            ObsError: OBS is not installed, ended early, did not answer in time, or is not ours.
        """
        named = ("--profile", self.name, "--collection", self.name)
        command = [find_obs(), *_ARGUMENTS, *self._arguments, *named]
        obs_config.write(self.folder / "config", self._config)
        self._config.recordings.mkdir()
        if self._headless:
            self._display = VirtualDisplay()
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=self._obs_environment(), cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, process_group=0,
            )  # fmt: skip
        self._connect()

    @property
    def _log_path(self) -> Path:
        return self.folder / "obs.log"

    def _obs_environment(self) -> dict[str, str]:
        """The user's environment with the configuration moved away.

        The cache and data folders stay the user's, so that the filter finds its faces and weights.
        """
        environment = {key: value for key, value in os.environ.items() if key not in _NOT_FOR_OBS}
        environment |= {
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_DATA_HOME": _user_folder("XDG_DATA_HOME", ".local/share"),
            "XDG_CACHE_HOME": _user_folder("XDG_CACHE_HOME", ".cache"),
            "XAUTHORITY": _user_folder("XAUTHORITY", ".Xauthority"),
            "HOME": str(self.folder),
            # The interpreter inside OBS takes its standard library from beside the first python3 found here.
            "PATH": os.pathsep.join(("/usr/bin", "/bin", os.environ.get("PATH", ""))),
            "QT_QPA_PLATFORM": "xcb",
            "PYTHONFAULTHANDLER": "1",  # a crash says in the log where each Python thread was
        }
        if self._headless:
            environment |= {"DISPLAY": self.display, "LIBGL_ALWAYS_SOFTWARE": "1"}
        return environment | self._environment

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ObsError("OBS was not started. Call start() first.")
        return self._process

    def _connect(self) -> None:
        deadline = time.monotonic() + _START_S
        last = "nothing listened"
        while time.monotonic() < deadline:
            if (code := self._started().poll()) is not None:
                raise ObsError(f"OBS ended while starting (exit code {code}). Its last words:\n{self.tail()}")
            try:
                self._socket = ObsWebSocket(self._config.port, self._config.password)
                self._check_it_is_ours()
                return
            except ObsRequestError as error:
                if error.code != _NOT_READY:
                    raise
                last = str(error)
            except ObsError as error:
                last = str(error)
            self._drop_socket()
            time.sleep(0.3)
        raise ObsError(f"OBS was not ready within {_START_S:g} s ({last}). Its last words:\n{self.tail()}")

    def _check_it_is_ours(self) -> None:
        collection = self.request("GetSceneCollectionList")["currentSceneCollectionName"]
        if collection != self.name:
            raise ObsRequestError("GetSceneCollectionList", 0, f"It shows “{collection}”, not “{self.name}”.")

    def request(self, kind: str, data: Json | None = None) -> Json:
        """Asks OBS over its websocket and returns the answer's data.

        Raises:
            ObsRequestError: OBS refused the request.
            ObsError: OBS is gone or silent; the message ends with its last words.
        """
        if self._socket is None:
            raise ObsError("There is no connection to OBS. Call start() first.")
        try:
            return self._socket.request(kind, data)
        except ObsRequestError:
            raise
        except ObsError as error:
            raise ObsError(f"{error} Its last words:\n{self.tail()}") from error

    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def version(self) -> str:
        """OBS's version, e.g. 29.0.2."""
        return str(self.request("GetVersion")["obsVersion"])

    def screenshot(self, name: str, image_format: str = "png") -> bytes:
        """A picture file of a source or scene as it is now, after its filters, in its own size."""
        asked = {"sourceName": name, "imageFormat": image_format}
        data: str = self.request("GetSourceScreenshot", asked)["imageData"]
        return base64.b64decode(data.partition(",")[2])

    def start_recording(self) -> None:
        """Starts OBS's own recorder and returns once it runs."""
        self.request("StartRecord")
        self.wait_for(lambda: bool(self.request("GetRecordStatus")["outputActive"]), "the recorder to start")

    def stop_recording(self) -> Path:
        """Stops the recorder and returns the finished file."""
        path = Path(self.request("StopRecord")["outputPath"])
        self.wait_for(lambda: not self.request("GetRecordStatus")["outputActive"], "the recorder to stop")
        return path

    def wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        """Returns once `condition()` holds; raises ObsError, naming `what`, when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if not self.is_running():
                raise ObsError(f"OBS ended while waiting for {what}. Its last words:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ObsError(f"Waited {timeout_s:g} s for {what}. OBS's last words:\n{self.tail()}")
            time.sleep(0.1)

    def log(self) -> str:
        """Everything OBS has printed so far."""
        return self._log_path.read_text(encoding="utf-8", errors="replace") if self._log_path.exists() else ""

    def tail(self, lines: int = 40) -> str:
        """The last lines of the log."""
        return "\n".join(self.log().splitlines()[-lines:])

    def quit(self, timeout_s: float | None = None) -> int:
        """Closes OBS's main window as a user would, waits, and returns the exit code.

        Raises:
            WebSocketCrashError: a fault of OBS's own kept it from ending as it should.
            ObsError: it has no window to close, or did not end in time.
        """
        process = self._started()
        self._drop_socket()
        if process.poll() is None and not close_window(self.display, self.name):
            raise ObsError("OBS shows no main window that could be closed.")
        try:
            code = process.wait(self._stop_s if timeout_s is None else timeout_s)
        except subprocess.TimeoutExpired:
            raise ObsError(f"OBS did not end after its window was closed:\n{self.tail()}") from None
        if code == -signal.SIGSEGV and self._stopped_its_websocket_last():
            raise WebSocketCrashError("OBS's own websocket server crashed while OBS was leaving. Try again.")
        return code

    def _stopped_its_websocket_last(self) -> bool:
        _, stops, later = self.log().rpartition(_WEBSOCKET_STOPS)
        return bool(stops) and not _SAID_LATER.search(later)

    def wait(self) -> int:
        """Waits until the user has closed OBS; returns the exit code."""
        return self._started().wait()

    def leaks(self) -> int | None:
        """The number of memory leaks OBS counted at its end; None when it said nothing."""
        found = _LEAKS.findall(self.log())
        return int(found[-1]) if found else None

    def _drop_socket(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def kill(self) -> None:
        """Ends OBS and its helper processes at once."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        """Ends OBS, with force where it must be, and removes all its files; may be called twice."""
        try:
            if self.is_running() and self._socket is not None:
                self.quit()
        except ObsError:
            pass  # killed below; whoever cares about a clean exit calls quit() and sees the error
        finally:
            self._drop_socket()
            self.kill()
            if self._display is not None:
                self._display.close()
                self._display = None
            shutil.rmtree(self.folder, ignore_errors=True)
