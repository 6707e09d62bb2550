"""A worker without its thread, the loads it asks for, and the camera's side of its exchange."""

import threading
import time

from obs_faceswap.engine.formats import PixelFormat
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.exchange import Exchange, key_of, now_ns
from obs_faceswap.engine.live.worker import Worker
from obs_faceswap.engine.settings import Settings

KEY = key_of(PixelFormat.I420, 64, 36)
ANNA, BERT = Settings(face="Anna"), Settings(face="Bert")


class Loads:
    """Gives what it was told, one after the other, the last of it for ever; waits where told to."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.asked = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, settings, running):
        self.asked.append((settings.face, running))
        self.gate.wait(30)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def offered(exchange, value=10, key=KEY):
    """A frame full of one value, offered as the graphics thread does."""
    exchange.words[ex.SHOWING] = 1
    exchange.current(key)
    exchange.lay_out()
    slots = exchange.current(key)
    index = exchange.input_slot()
    for view in slots.plane_views(index):
        view[:] = bytes([value]) * len(view)
    exchange.offer(slots, index, now_ns())
    return slots


def loaded(*outcomes, settings=ANNA, **more):
    """A worker without its thread, its first load done."""
    loads = Loads(*outcomes)
    made = Worker(Exchange(), settings, load=loads, **more)
    settle(made)
    return made, loads


def settle(made):
    """Steps until no load is under way."""
    made.step()
    while made._loader.is_busy:
        wait_for_load(made)
        made.step()


def wait_for_load(made):
    """Until the load under way is done."""
    while made._loader.is_busy and not made._loader.is_done:
        time.sleep(0.0005)


def result_of(exchange):
    """The newest result's samples, as one set."""
    slots = exchange.slots
    return set(b"".join(slots.plane_views(exchange.words[ex.RESULT_NEWEST] - 1)))
