"""Renders the demo clip and the demo face. Needs the packages bpy 4.5, opencv-python-headless and av.

    python render_heads.py HEAD.npz --out FOLDER [--only clip|face] [--draft]

HEAD.npz is the 3D head described in README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import head as heads
import motion
import numpy as np
import numpy.typing as npt
import room
import stage
from head import HeadModel
from people import PEOPLE, Person

Image = npt.NDArray[np.uint8]  # (H, W, 3) BGR or (H, W, 4) BGRA
Layer = npt.NDArray[np.float32]  # (H, W, 4) BGRA, 0..1, color multiplied by alpha

_FPS = 30


@dataclass(frozen=True, slots=True)
class Quality:
    """How much work goes into the pictures: samples a pixel, rendered pictures a second (30 / n), seconds."""

    clip_samples: int
    clip_rate: int
    seconds: float
    face_samples: int


_FINAL = Quality(clip_samples=20, clip_rate=15, seconds=5.0, face_samples=64)
_DRAFT = Quality(clip_samples=12, clip_rate=10, seconds=5.0, face_samples=40)


def _light(key: float, fill: float, rim: float) -> None:
    """A large soft light from the person's right, a weak fill, a warm edge light from behind."""
    stage.ambient((0.75, 0.85, 1.0), 0.3)
    face = (0.0, 1.0, 5.0)
    stage.area_light("key", (-48, 38, 66), face, 55, key, (1.0, 0.94, 0.87))
    stage.area_light("fill", (60, 5, 60), face, 60, fill, (0.82, 0.91, 1.0))
    stage.area_light("rim", (52, 28, -42), (0, 3, 0), 26, rim, (1.0, 0.84, 0.66))


def _read(path: Path) -> Image:
    """A picture as stored (BGR or BGRA).

    Raises:
        OSError: it cannot be read.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise OSError(f"{path} is not a picture that can be read; delete it and run again.")
    return image


def _clip_camera(blur: bool) -> None:
    """A webcam's view: the face fills a good part of the picture's height."""
    # Blender takes the aperture in millimeters and the scene in meters; the scene is in centimeters.
    stage.camera(distance=90, height=3, target_y=-0.8, frame_cm=41, focus=82, fstop=0.02 if blur else 0.0)


def _background(folder: Path, samples: int) -> Image:
    """The room behind the clip; rendered once."""
    path = folder / f"room_{samples}.png"
    if not path.exists():
        stage.begin(640, 360, samples, transparent=False)
        room.build()
        stage.ambient((0.85, 0.90, 1.0), 0.75)
        _clip_camera(blur=True)
        stage.render(path)
    return _read(path)


def _clip_layers(model: HeadModel, folder: Path, quality: Quality) -> list[Layer]:
    """The rendered heads of the clip, in order; those already rendered are taken from the folder."""
    person = PEOPLE["live"]
    frames = folder / f"frames_{quality.clip_samples}_{quality.clip_rate}"
    frames.mkdir(parents=True, exist_ok=True)
    count = round(quality.seconds * quality.clip_rate)
    paths = [frames / f"{number:04d}.png" for number in range(count)]
    if not all(path.exists() for path in paths):
        stage.begin(640, 360, quality.clip_samples, transparent=True)
        actor = stage.actor(model, person, folder / person.name, fine=False)
        _light(key=95, fill=18, rim=16)
        _clip_camera(blur=False)
        for number in np.flatnonzero([not path.exists() for path in paths]):
            stage.show(actor, motion.pose(number / count, quality.seconds))
            stage.render(paths[number])
    return [_layer(_read(path)) for path in paths]


def _layer(image: Image) -> Layer:
    """A rendered BGRA picture as numbers 0..1 with the color multiplied by the alpha."""
    layer = image.astype(np.float32) / 255.0
    layer[..., :3] *= layer[..., 3:]
    return layer


def _over(front: Layer, back: Image) -> Image:
    """A layer over a BGR picture."""
    mixed = front[..., :3] * 255.0 + back * (1.0 - front[..., 3:])
    return np.clip(np.round(mixed), 0, 255).astype(np.uint8)


def _flow(first: Layer, second: Layer) -> npt.NDArray[np.float32]:
    """How the picture moves from the first layer to the second, (H, W, 2) px."""
    gray = [
        np.round(cv2.cvtColor(layer[..., :3], cv2.COLOR_BGR2GRAY) * 255).astype(np.uint8)
        for layer in (first, second)
    ]
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(gray[0], gray[1], None)


def _moved(layer: Layer, flow: npt.NDArray[np.float32], share: float) -> Layer:
    """The layer moved by a share of the flow."""
    y, x = np.mgrid[: layer.shape[0], : layer.shape[1]].astype(np.float32)
    return cv2.remap(
        layer,
        x - share * flow[..., 0],
        y - share * flow[..., 1],
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _between(first: Layer, second: Layer, share: float) -> Layer:
    """The picture at a share (0..1) of the way from one to the other: both moved there, then mixed."""
    there = _moved(first, _flow(first, second), share)
    back = _moved(second, _flow(second, first), 1.0 - share)
    return np.clip(there * (1.0 - share) + back * share, 0.0, 1.0)


def _smooth(layers: list[Layer], rate: int) -> Iterator[Layer]:
    """The clip at 30 frames a second from `rate` pictures a second, round and round."""
    steps = _FPS // rate
    for number, layer in enumerate(layers):
        yield layer
        for step in range(1, steps):
            yield _between(layer, layers[(number + 1) % len(layers)], step / steps)


def _encode(pictures: Iterator[Image], path: Path) -> None:
    """H.264, 640x360 at 30 frames a second."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=_FPS)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        stream.options = {"crf": "20", "preset": "slower", "tune": "film", "threads": "1"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))


def _studio(width: int, height: int, light: tuple[int, int, int], dark: tuple[int, int, int]) -> Image:
    """A painted backdrop: a soft spot of light on a plain wall; colors BGR."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    distance = np.hypot((x - 0.62 * width) / width, (y - 0.38 * height) / height)
    share = np.clip(distance / 0.85, 0, 1)[..., None] ** 1.3
    grain = np.random.default_rng(1).normal(0, 0.8, (height, width, 1))
    return np.clip(np.array(light) * (1 - share) + np.array(dark) * share + grain, 0, 255).astype(np.uint8)


def _portrait(model: HeadModel, person: Person, folder: Path, samples: int) -> Image:
    """A person who looks into the camera, head and shoulders."""
    path = folder / f"portrait_{person.name}_{samples}.png"
    if not path.exists():
        stage.begin(512, 640, samples, transparent=True)
        actor = stage.actor(model, person, folder / person.name, fine=True)
        _light(key=92, fill=24, rim=14)
        stage.camera(distance=120, height=3, target_y=0.8, frame_cm=38, focus=112, fstop=0.0)
        stage.show(actor, motion.portrait(4.0, 0.0, 0.22))
        stage.render(path)
    return _over(_layer(_read(path)), _studio(512, 640, (150, 158, 150), (70, 74, 66)))


def _arguments(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Render the demo clip and the demo face.")
    parser.add_argument("head", type=Path, help="the 3D head, ict_facekit_light_id40.npz")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the results and the pictures on the way"
    )
    parser.add_argument("--only", choices=("clip", "face"), help="render only this")
    parser.add_argument("--draft", action="store_true", help="fewer samples and fewer different pictures")
    return parser.parse_args(words)


def main(words: list[str]) -> None:
    """Render what was asked for into the folder."""
    asked = _arguments(words)
    quality = _DRAFT if asked.draft else _FINAL
    model = heads.load(asked.head)
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.only != "clip":
        picture = _portrait(model, PEOPLE["face"], asked.out, quality.face_samples)
        cv2.imwrite(str(asked.out / "face.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 93])
    if asked.only != "face":
        back = _background(asked.out, 24)
        layers = _clip_layers(model, asked.out, quality)
        _encode((_over(layer, back) for layer in _smooth(layers, quality.clip_rate)), asked.out / "clip.mp4")


if __name__ == "__main__":
    main(sys.argv[1:])
