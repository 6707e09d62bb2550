"""What the OBS tests put in front of the filter: pictures, clips and faces, made from the demo's."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import obs_driver
import tiny_networks

from obs_faceswap.ui import materials
from obs_faceswap.ui.obs_config import image_source, media_source

CANVAS = (640, 360)
CLIP_FRAMES = 600
UPPER_LIP, LOWER_LIP = 13, 14  # of the mesh, on the inner edge


@dataclass(frozen=True)
class Stage:
    """What the tests put in front of the filter.

    Attributes:
        image: a picture with one face, (360, 640, 3).
        picture: it as a file.
        clip: it as a video whose frames are all the same.
        face_box: x0, y0, x1, y1 of the region the filter may change.
        inner_box: of the face's middle, which it must change.
        negative: a .dfm that turns a face into its negative.
        slow: the same, but a frame takes seconds.
        worn_picture: a picture with another face.
        empty_picture: a picture without a face, full of detail.
        two_faces: a picture with the face in its left and its right half.
    """

    image: np.ndarray
    picture: Path
    clip: Path
    face_box: tuple[int, int, int, int]
    inner_box: tuple[int, int, int, int]
    negative: Path
    slow: Path
    worn_picture: Path
    empty_picture: Path
    two_faces: Path

    def cam(self, settings=None, name="Cam", **more):
        """A Media Source that shows the face, with the filter when settings are given."""
        worn = [] if settings is None else [obs_driver.face_swap(settings, **more)]
        return media_source(name, self.clip, worn)

    def still(self, settings=None, name="Picture"):
        """An Image source that shows the face, with the filter when settings are given."""
        worn = [] if settings is None else [obs_driver.face_swap(settings)]
        return image_source(name, self.picture, worn)


def _pictures(clip):
    """Every tenth picture of a clip, fitted into the canvas, (360, 640, 3)."""
    video = cv2.VideoCapture(str(clip))
    frames = []
    while (read := video.read())[0]:
        frames.append(read[1])
    video.release()
    return [_fitted(frame) for frame in frames[::10]]


def _fitted(frame):
    height, width = frame.shape[:2]
    width = round(width * CANVAS[1] / height)
    frame = cv2.resize(frame, (width, CANVAS[1]), interpolation=cv2.INTER_AREA)
    side = (CANVAS[0] - width) // 2
    if side < 0:
        return np.ascontiguousarray(frame[:, -side : -side + CANVAS[0]])
    return cv2.copyMakeBorder(frame, 0, 0, side, CANVAS[0] - side - width, cv2.BORDER_REPLICATE)


def _talking(clip, face):
    """The picture of a clip with the widest open mouth, and the face's landmarks in it."""
    from obs_faceswap.engine import pipeline
    from obs_faceswap.engine.settings import Settings
    from obs_faceswap.ui.picture import frame_of

    settings = Settings(face=str(face), smoothing=0)
    engine = pipeline.load(settings)
    best = None
    for image in _pictures(clip):
        found = engine.process(frame_of(image.copy()), settings).faces
        assert len(found) == 1, "a picture of the demo clip does not show one face"
        points = found[0].landmarks
        gap = np.linalg.norm(points[UPPER_LIP] - points[LOWER_LIP])
        if best is None or gap > best[0]:
            best = gap, image, points
    engine.close()
    return best[1:]


def _boxes(points):
    """The region of the face's crop on the chroma grid, and the middle of the face."""
    from obs_faceswap.engine.crop import align

    corners = np.float32([[-0.5, -0.5], [255.5, -0.5], [255.5, 255.5], [-0.5, 255.5]])
    crop = align.to_frame(align.warp_for(points, 256), corners)
    middle = points.mean(axis=0)
    reach = (points.max(axis=0) - points.min(axis=0)) * 0.15
    return _box(crop, 4), tuple(int(v) for v in (*(middle - reach), *(middle + reach)))


def _box(points, margin):
    """The even box around points, a few pixels larger, inside the picture."""
    low = np.maximum(np.floor(points.min(axis=0)).astype(int) - margin, 0) // 2 * 2
    high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + margin, CANVAS) // 2 * 2
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _empty_room():
    """(360, 640, 3) of gray cells; colored ones would not survive 4:2:0."""
    cells = np.random.default_rng(1).integers(40, 216, (36, 64, 1), np.uint8)
    return np.kron(cells, np.ones((10, 10, 3), np.uint8))


def _saved(path, image):
    assert cv2.imwrite(str(path), image)
    return path


def build(folder):
    """A stage whose files lie in a folder."""
    (folder / "negative.dfm").write_bytes(tiny_networks.dfm(size=128, morph=True))
    image, points = _talking(materials.packaged("demo/clip.mp4"), folder / "negative.dfm")
    face_box, inner_box = _boxes(points)
    (folder / "slow.dfm").write_bytes(obs_driver.slow_dfm())
    return Stage(
        image=image,
        picture=_saved(folder / "face.png", image),
        clip=obs_driver.write_clip(folder / "clip.mp4", [image] * CLIP_FRAMES),
        face_box=face_box,
        inner_box=inner_box,
        negative=folder / "negative.dfm",
        slow=folder / "slow.dfm",
        worn_picture=materials.packaged("demo/face.jpg"),
        empty_picture=_saved(folder / "empty-room.png", _empty_room()),
        two_faces=_saved(folder / "two-faces.png", np.hstack([image[:, 160:480]] * 2)),
    )
