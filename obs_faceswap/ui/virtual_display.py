"""An X display without a screen, and closing a window as its close button would."""

import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from Xlib import X, Xatom
from Xlib.display import Display
from Xlib.error import BadWindow, XError
from Xlib.protocol.event import ClientMessage

from obs_faceswap.ui.obs_websocket import ObsError

_START_S = 30.0


class VirtualDisplay:
    """An Xvfb server on a display number that nobody else uses. `close()` ends it."""

    def __init__(self, width: int = 1280, height: int = 720) -> None:
        if shutil.which("Xvfb") is None:
            raise ObsError("Xvfb is not installed. Install it (Debian, Ubuntu: apt-get install xvfb).")
        reader, writer = os.pipe()
        screen = f"{width}x{height}x24"
        command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", screen, "+extension", "GLX",
                   "-nolisten", "tcp"]  # fmt: skip
        self._server = subprocess.Popen(
            command, pass_fds=[writer], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(writer)
        try:
            self.name = f":{self._number(reader)}"
        except BaseException:
            self.close()
            raise
        finally:
            os.close(reader)

    def _number(self, reader: int) -> int:
        """The display number the server chose; it writes it, with a newline, once it accepts clients."""
        text = b""
        deadline = time.monotonic() + _START_S
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([reader], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(reader, 16) if ready else b""
            if not part:
                raise ObsError(
                    f"Xvfb did not start within {_START_S:g} s. “Xvfb :99” in a terminal says why."
                )
            text += part
        return int(text)

    def close(self) -> None:
        """Ends the server; may be called twice."""
        if self._server.poll() is None:
            self._server.terminate()
            try:
                self._server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()


def _windows(window: Any) -> Iterator[Any]:
    try:
        children = window.query_tree().children
    except BadWindow:  # it went away meanwhile
        return
    for child in children:
        yield child
        yield from _windows(child)


def _title(window: Any, display: Any) -> str:
    try:
        named = window.get_full_text_property(display.intern_atom("_NET_WM_NAME"))
        return named or window.get_full_text_property(Xatom.WM_NAME) or ""
    except (XError, UnicodeDecodeError):
        return ""


def window_titles(display_name: str) -> list[str]:
    """The titles of all windows of a display that have one."""
    display = Display(display_name)
    try:
        return [title for window in _windows(display.screen().root) if (title := _title(window, display))]
    finally:
        display.close()


def close_window(display_name: str, title_part: str) -> bool:
    """Asks the first window whose title contains `title_part` to close; False if there is none.

    Sends WM_PROTOCOLS / WM_DELETE_WINDOW as a window manager's close button does, so none is needed.
    """
    display = Display(display_name)
    try:
        for window in _windows(display.screen().root):
            if title_part in _title(window, display):
                message = ClientMessage(
                    window=window,
                    client_type=display.intern_atom("WM_PROTOCOLS"),
                    data=(32, [display.intern_atom("WM_DELETE_WINDOW"), X.CurrentTime, 0, 0, 0]),
                )
                window.send_event(message)
                display.sync()
                return True
        return False
    finally:
        display.close()
