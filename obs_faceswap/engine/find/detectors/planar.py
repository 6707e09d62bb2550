"""What detectors share that take pictures as planes, (1, 3, H, W)."""

from abc import ABC, abstractmethod
from typing import ClassVar

from obs_faceswap.engine.find.detectors.decode import Network, refuse, size_of
from obs_faceswap.engine.types import Detection, ImageBGR


class Planar(ABC):
    """A detector with an input (1, 3, H, W), of a size that its file sets or leaves open.

    Attributes:
        title: how its family is called.
        expected: the inputs and outputs of that, in words.
        usual_side_px: the input's side where the file leaves that open.
        side_px: the longer side of the input.
    """

    title: ClassVar[str]
    expected: ClassVar[str]
    usual_side_px: ClassVar[int] = 640

    def __init__(self, network: Network, side_px: int = 0) -> None:
        """Checks inputs and outputs; `side_px` is used where the file leaves the size open, if not 0."""
        if not self.fits(network):
            refuse(self.title, network, self.expected)
        self._network = network
        self._input = network.inputs[0].name
        self._size = size_of(network.inputs[0].shape[2:], side_px or self.usual_side_px)
        self.side_px = max(self._size)

    @staticmethod
    @abstractmethod
    def fits(network: Network) -> bool:
        """Whether a network has the outputs of this family."""

    @abstractmethod
    def detect(self, image: ImageBGR, threshold: float) -> list[Detection]:
        """Faces with a score of at least `threshold` (0..1), best first; `image` (H, W, 3) of any size."""
