"""Loads an engine beside a running one, and says in plain words what went wrong. Standard library only."""

import importlib
import logging
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from obs_faceswap.engine.find.assignment import slots_of
from obs_faceswap.engine.live.governor import Plan
from obs_faceswap.engine.runtime import cancel
from obs_faceswap.engine.settings import OPTIONS, Kind, Settings, Who

if TYPE_CHECKING:
    from obs_faceswap.engine.steps import Begun, Swap
    from obs_faceswap.engine.types import Frame, Result

logger = logging.getLogger(__name__)

_PACKAGES = ("numpy", "cv2", "onnxruntime")  # what the engine imports


class Engine(Protocol):
    """What the worker needs of `pipeline.Pipeline`."""

    @property
    def provider(self) -> str:
        """The device the networks run on."""
        ...

    @property
    def stages(self) -> Mapping[str, str]:
        """The devices of its parts, by what each does."""
        ...

    @property
    def notice(self) -> str:
        """Why that is not the device that was asked for, or empty."""
        ...

    @property
    def has_morph(self) -> bool:
        """Whether the Morph setting acts on the worn face."""
        ...

    @property
    def to_improve(self) -> Path | None:
        """The network of which a faster form may be made beside this engine."""
        ...

    @property
    def can_overlap(self) -> bool:
        """Whether a swap beside the beginning of the next frame makes both faster."""
        ...

    def begin(self, frame: "Frame", settings: Settings, plan: Plan) -> "Begun":
        """Finds the faces of a frame and cuts the target out."""
        ...

    def swap(self, begun: "Begun") -> "Swap | None":
        """Runs the swapper on what was cut out, on a thread of its own."""
        ...

    def finish(self, frame: "Frame", begun: "Begun", swap: "Swap | None") -> "Result":
        """Changes the frame's planes in place to what may be shown."""
        ...

    def enroll(self) -> None:
        """Remembers who is swapped in the next frame; from any thread."""
        ...

    def take_neutral(self) -> None:
        """Has an animated picture take the next live face as the one that looks like it; from any thread."""
        ...

    def adopt(self, old: Any) -> None:
        """Goes on with the stream of another engine."""
        ...

    def close(self) -> None:
        """Frees the networks."""
        ...


Load: TypeAlias = Callable[[Settings, Engine | None], Engine]  # the settings, and the engine that runs now


def load_engine(settings: Settings, running: Engine | None) -> Engine:
    """The real engine. Slow; imports numpy and all the rest.

    Raises:
        ImportError: a package is missing or broken.
        FaceSwapError: the face, a network or the device cannot be used.
    """
    _import_packages()
    from obs_faceswap.engine import pipeline
    from obs_faceswap.engine.runtime import providers

    DEVICES.set([(device.id, device.label) for device in providers.devices()])
    return pipeline.load(settings, at_once=True)


def _import_packages() -> None:
    """Names all packages that are missing at once; any other trouble with one is raised as it is."""
    missing = []
    for package in _PACKAGES:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            missing.append(error.name or package)
    if missing:
        raise ModuleNotFoundError(name=", ".join(missing))


def needs(settings: Settings) -> tuple[str, ...]:
    """The part of the settings that a loaded engine is bound to."""
    file = "" if settings.face else settings.face_file
    devices = (getattr(settings, option.key) for option in OPTIONS if option.kind is Kind.DEVICE)
    finding = settings.detector, f"{settings.detection_size:g}", settings.landmarker, settings.recognizer
    people = (str(settings.who is Who.KNOWN), *(f"{slot.number} {slot.face}" for slot in slots_of(settings)))
    front = settings.occlusion, settings.occlusion_network
    return settings.face, file, settings.network, settings.enhancer, *front, *finding, *people, *devices


def face_name(settings: Settings) -> str:
    """How a user calls the chosen face; empty when none is chosen."""
    return settings.face or Path(settings.face_file).stem


def placement(engine: Engine) -> str:
    """The devices an engine runs on, in the words of the panel."""
    labels = dict(DEVICES.get())
    parts = [labels.get(engine.provider, engine.provider)]
    for what, device in engine.stages.items():
        if device != engine.provider:
            parts.append(f"{what} on {labels.get(device, device)}")
    return ", ".join(parts)


class Choices:
    """The devices to choose from. They are known only once an engine was loaded: asking takes imports."""

    def __init__(self) -> None:
        self._known: tuple[tuple[str, str], ...] = (("auto", "Automatic"),)

    def set(self, known: list[tuple[str, str]]) -> None:
        """Replaces them."""
        self._known = tuple(known)

    def get(self) -> tuple[tuple[str, str], ...]:
        """(id, label) of each, “auto” first."""
        return self._known


DEVICES = Choices()


def _nobody() -> None:
    """The default of `on_start` and `on_done`."""


class Loader:
    """Loads one engine at a time on a thread of its own. All methods belong to one other thread.

    The thread stays, for the sake of memory as that of `SwapThread`.
    """

    def __init__(
        self, load: Load, on_done: Callable[[], None] = _nobody, on_start: Callable[[], None] = _nobody
    ) -> None:
        """`on_start` and `on_done` are called on the loading thread, before and after each load."""
        self._load = load
        self._on_done, self._on_start = on_done, on_start
        self._asked: queue.SimpleQueue[tuple[Settings, Engine | None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._outcome: Engine | BaseException | None = None
        self._cancelled = threading.Event()
        self.is_busy = False  # a load runs, or its outcome was not taken

    @property
    def is_done(self) -> bool:
        """Whether an outcome can be taken."""
        return self._outcome is not None

    def start(self, settings: Settings, running: Engine | None) -> None:
        """Begins a load; only while not busy."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="face swap loader", daemon=True)
            self._thread.start()
        self.is_busy = True
        self._asked.put((settings, running))

    def _run(self) -> None:
        cancel.use(self._cancelled)
        while (asked := self._asked.get()) is not None:
            self._load_one(*asked)
            del asked  # it holds an engine, and would until the next one

    def _load_one(self, settings: Settings, running: Engine | None) -> None:
        self._on_start()
        try:
            outcome: Engine | BaseException = self._load(settings, running)
        except BaseException as error:  # a thread's border; the worker tells the user
            logger.debug("A load failed", exc_info=True)
            outcome = error
        if self._cancelled.is_set() and not isinstance(outcome, BaseException):
            outcome.close()  # perhaps nobody waits any more
            return
        self._outcome = outcome
        self._on_done()

    def take(self) -> Engine | BaseException | None:
        """The outcome, once; None while there is none."""
        if self._outcome is None:
            return None
        outcome, self._outcome, self.is_busy = self._outcome, None, False
        return outcome

    def close(self, patience_s: float | None = None) -> None:
        """Gives up a load that runs, waits for its end and drops its outcome.

        One that takes too long nevertheless is left behind, and drops it by itself.
        """
        self._cancelled.set()
        self._asked.put(None)
        if self._thread is not None:
            self._thread.join(patience_s)
        outcome = self.take()
        self.is_busy = False
        if outcome is not None and not isinstance(outcome, BaseException):
            outcome.close()
