"""An engine for the worker and its stream: steps that can be watched, held back, and made to fail."""

import threading
import time
from types import SimpleNamespace

from obs_faceswap.engine.types import Result, Shown


class StreamEngine:
    """Adds its number to every sample and notes what was asked of it.

    `errors` are raised by the next beginnings, `swap_errors` by the next swaps. A swap waits for `gate`.
    """

    can_overlap = False

    def __init__(self, number: int = 1) -> None:
        self.number = number
        self.provider, self.notice, self.has_morph = "cpu", "", False
        self.stages, self.to_improve = {}, None
        self.frames, self.settings, self.plans, self.adopted, self.closed = [], [], [], [], False
        self.begun, self.finished = [], []  # numbers of frames; of a finished one also that of its swap
        self.errors, self.swap_errors = [], []
        self.result = Result(Shown.SWAPPED, [], {"swap": 1.0}, "")
        self.sees_a_face = True
        self.gate = threading.Event()
        self.gate.set()

    def begin(self, frame, settings, plan):
        self.frames.append(frame)
        self.settings.append(settings)
        self.plans.append(plan)
        if self.errors:
            raise self.errors.pop(0)
        self.begun.append(len(self.frames))
        return SimpleNamespace(cuts=(1,) if self.sees_a_face else (), number=len(self.frames))

    def swap(self, begun):
        self.gate.wait(30)
        if self.swap_errors:
            raise self.swap_errors.pop(0)
        swap_ms = {name: ms for name, ms in self.result.stages_ms.items() if name == "swap"}
        return SimpleNamespace(stages_ms=swap_ms, number=begun.number) if begun.cuts else None

    def finish(self, frame, begun, swap):
        self.finished.append((begun.number, swap.number if swap else None))
        for plane in frame.planes:
            plane += self.number
        return self.result

    def enroll(self):
        self.enrolled = True

    def adopt(self, old):
        self.adopted.append(old)

    def close(self):
        self.closed = True


def work(worker) -> bool:
    """Steps a worker without its thread until nothing is left to do; whether there was anything."""
    did = worker.step()
    while worker._stream.is_busy:
        time.sleep(0.0002)
        did |= worker.step()
    return did
