"""A stand-in for a session, for tests of decoders."""

from types import SimpleNamespace

import numpy as np


class Answers:
    """A network that notes its input and gives prepared outputs."""

    def __init__(self, shape, outputs):
        self.inputs = [SimpleNamespace(name="input", shape=shape)]
        self.outputs = [SimpleNamespace(name=name, shape=value.shape) for name, value in outputs.items()]
        self.values = outputs
        self.seen = None

    def run(self, feeds):
        self.seen = feeds["input"]
        return list(self.values.values())


def picture(width, height):
    """A black picture (H, W, 3)."""
    return np.zeros((height, width, 3), np.uint8)
