"""Which detector class a network belongs to.

Every detector sees the whole picture letterboxed into its own input, so a face that fills a large frame is as
easy to find as one in a small frame.
"""

from obs_faceswap.engine.errors import UnsupportedModelError
from obs_faceswap.engine.find.detectors.blazeface import BlazeFace
from obs_faceswap.engine.find.detectors.centerface import CenterFace
from obs_faceswap.engine.find.detectors.decode import Network
from obs_faceswap.engine.find.detectors.planar import Planar
from obs_faceswap.engine.find.detectors.s3fd import S3fd
from obs_faceswap.engine.find.detectors.scrfd import Scrfd
from obs_faceswap.engine.find.detectors.ultraface import UltraFace
from obs_faceswap.engine.find.detectors.yolo5face import Yolo5Face
from obs_faceswap.engine.find.detectors.yunet import YuNet
from obs_faceswap.engine.types import Detector

_PLANAR: tuple[type[Planar], ...] = (YuNet, Scrfd, Yolo5Face, CenterFace, S3fd, UltraFace)


def detector_for(network: Network, side_px: int = 0) -> Detector:
    """The detector for a network, told by its inputs and outputs; raises UnsupportedModelError.

    Args:
        network: the network.
        side_px: the side of its input, where the file leaves that open; 0: the family's usual one.
    """
    if BlazeFace.fits(network):
        return BlazeFace(network)
    for family in _PLANAR:
        if family.fits(network):
            return family(network, side_px)
    names = ", ".join(("BlazeFace", *(family.__name__ for family in _PLANAR)))
    found = [tuple(output.shape) for output in network.outputs]
    raise UnsupportedModelError(
        f"This network is no face detector that is known here: expected one of {names}, found the outputs "
        f"{found}. Choose another file."
    )
