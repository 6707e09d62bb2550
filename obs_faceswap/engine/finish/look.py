"""How one face's swaps are made to look as if the camera had seen them: colors, merge, what comes after."""

from obs_faceswap.engine.crop.align import scale_of
from obs_faceswap.engine.finish import finishing
from obs_faceswap.engine.finish.camera import CameraMatch
from obs_faceswap.engine.finish.color import ColorMatch
from obs_faceswap.engine.finish.merge import merge, weights_in
from obs_faceswap.engine.settings import CameraFit, Settings
from obs_faceswap.engine.types import AlignedFace, Frame, Mask, SwappedFace


class Look:
    """One followed face's: what it has of the frames before."""

    def __init__(self) -> None:
        self._color = ColorMatch()
        self._camera = CameraMatch()

    def colored(
        self, swapped: SwappedFace, aligned: AlignedFace, timestamp_ns: int, settings: Settings
    ) -> SwappedFace:
        """A swap in the colors of its live crop, see `ColorMatch.match`."""
        return self._color.match(swapped, aligned.crop, timestamp_ns, settings.color_transfer)

    def put(
        self, frame: Frame, aligned: AlignedFace, swapped: SwappedFace, mask: Mask, settings: Settings
    ) -> bool:
        """Puts a swap into its frame, see `merge`, and finishes it there; whether it shows."""
        fits = settings.camera_match is not CameraFit.OFF
        if fits:
            self._camera.sharpens = settings.camera_match is CameraFit.SHARP
            self._camera.look(frame, aligned.face.landmarks)
        roi = merge(frame, swapped, aligned.warp, mask, settings)
        if roi is None:
            return False
        changed, fits = finishing.is_wanted(settings), fits and self._camera.compare(frame)
        if not (changed or fits):
            return True
        weights = weights_in(roi, swapped, aligned.warp, mask, settings)
        if fits:
            self._camera.correct(frame, roi, weights)
        if changed:  # last: what the user asks for is not to be corrected
            finishing.finish(frame, roi, weights, settings, 1 / scale_of(aligned.warp))
        return True
