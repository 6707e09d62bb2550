"""The project's log lines in OBS's log."""

import logging
import warnings
from typing import Any

from obs_faceswap.engine.live.native import Found
from obs_faceswap.libobs import abi
from obs_faceswap.libobs.api import text

logger = logging.getLogger(__name__)

_PREFIX = "[face swap] "


class ObsLogHandler(logging.Handler):
    """Writes records with libobs's `blog`.

    Neither sys.stderr nor script_log will do: inside OBS both open a window for every warning.
    """

    def __init__(self, obs: Any) -> None:
        super().__init__()
        self._obs = obs

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record, a line of the log for each of its lines."""
        try:
            for line in self.format(record).splitlines():
                # The text is the format itself: passing it as an argument of a variadic function differs
                # from one processor to the next.
                self._obs.blog(_level(record.levelno), text(_PREFIX + line.replace("%", "%%")))
        except Exception:  # noqa: BLE001  # a log line that cannot be written must not stop a frame
            return


def _level(levelno: int) -> int:
    if levelno >= logging.ERROR:
        return abi.LOG_ERROR
    if levelno >= logging.WARNING:
        return abi.LOG_WARNING
    return abi.LOG_INFO if levelno >= logging.INFO else abi.LOG_DEBUG


def install(obs: Any) -> None:
    """Sends the project's records to OBS; does nothing the second time."""
    # Inside OBS a warning on stderr opens the script log's window.
    warnings.filterwarnings("ignore", module=r"(obs_faceswap|numpy|cv2|onnxruntime)\b")
    project = logging.getLogger("obs_faceswap")
    if not any(isinstance(handler, ObsLogHandler) for handler in project.handlers):
        project.addHandler(ObsLogHandler(obs))
        project.setLevel(logging.INFO)
        project.propagate = False


def tell_how_frames_pass(found: Found) -> None:
    """Says whether native code or Python is between OBS and the engine."""
    if found.library is not None:
        logger.info("Frames pass through native code.")
    else:
        logger.warning("Frames pass through Python: other scripts can delay the picture. %s", found.reason)
