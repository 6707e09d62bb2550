"""Measures the photo face on the development data and writes contact sheets.

    python tests/quality/measure_photo.py --data ../shared/data --out /tmp/photo

(a) how much of the difference to the exact clip a swap leaves, (b) whose face the result is nearer to,
(c) sheets to look at, (d) frames swapped, frozen and covered, and switches between them a minute.
"""

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from quality import photo_figures as figures

from obs_faceswap.engine.settings import Settings, with_texts
from obs_faceswap.engine.types import ImageBGR, Points, Shown

# Near-frontal frames with a closed mouth (b) and with parted lips (a); head turned by 9 and 6 degrees.
SOURCE_FRAMES = {"synth_b": 7, "synth_a": 3}
SOURCE = "image/synthetic_em_b.png"
OTHER_SOURCE = "image/synthetic_em_c.png"  # for the clips whose head has the first one's texture
TEXTURED_BY_SOURCE = ("synth_a",)
EVERY = 5  # frames, of which whose face it is is measured
COLUMNS, TILE = 6, 220


def main() -> None:
    """Command line."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    settings = with_texts(Settings(), dict(pair.split("=", 1) for pair in arguments.set))
    if not arguments.clips:
        print_exact(arguments.data, settings)
    print(f"{'clip':24} {'source':>7} {'live':>6} {'nearer':>7} swapped frozen covered  switches/min")
    for clip in clips_of(arguments.data):
        if not arguments.clips or clip.stem in arguments.clips:
            print(measured(clip, arguments, settings), flush=True)


def _arguments() -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    here = Path(__file__).resolve()
    parser.add_argument("--data", type=Path, default=here.parents[3] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "photo-face")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--source", type=Path, help="a picture to wear on all clips")
    parser.add_argument("clips", nargs="*", help="names of clips; without any, all and the exact ones")
    return parser.parse_args()


def clips_of(data: Path) -> list[Path]:
    """The clips, real ones first."""
    return sorted((data / "video").glob("*.mp4")) + sorted((data / "synth" / "clips").glob("*.mp4"))


def print_exact(data: Path, settings: Settings) -> None:
    """Figure (a), in both directions."""
    for live, source in (("synth_a", "synth_b"), ("synth_b", "synth_a")):
        left = exact(data, live, source, settings)
        print(f"(a) {source} on {live}: {left:.3f} of the difference to the exact clip is left")


def exact(data: Path, live: str, source: str, settings: Settings) -> float:
    """Figure (a) for one frame of a clip put on another."""
    clips = data / "synth" / "clips"
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "source.png"
        cv2.imwrite(str(picture), figures.frame_at(clips / f"{source}.mp4", SOURCE_FRAMES[source]))
        worn = with_face(settings, picture)
        return figures.remaining(clips / f"{live}.mp4", clips / f"{source}.mp4", worn, data / "models")


def with_face(settings: Settings, picture: Path) -> Settings:
    """The same settings with a picture worn."""
    return with_texts(settings, {"face": str(picture)})


def measured(clip: Path, arguments: argparse.Namespace, settings: Settings) -> str:
    """One clip's line of figures (b) and (d); its sheet is written."""
    data = arguments.data
    own = OTHER_SOURCE if clip.stem in TEXTURED_BY_SOURCE else SOURCE
    source = arguments.source or data / own
    judge = Judge(source, data)
    shown = []
    for number, frame in enumerate(figures.swapped_clip(clip, with_face(settings, source), data / "models")):
        shown.append(frame.shown)
        if number % EVERY == 0:
            judge.look(frame)
    cv2.imwrite(str(arguments.out / f"{clip.stem}.jpg"), judge.sheet())
    count, minutes = Counter(shown), len(shown) / figures.FPS / 60
    return (
        f"{clip.stem:24} {judge.nearness()} {count[Shown.SWAPPED]:7} {count[Shown.FROZEN]:6} "
        f"{count[Shown.COVERED]:7} {figures.switches(shown) / minutes:9.1f}"
    )


class Judge:
    """Looks at some frames of a clip: whose face they show, and what they look like."""

    def __init__(self, source: Path, data: Path) -> None:
        self._identity = figures.Identity(data / "models")
        self._picture = cv2.imread(str(source))
        self._source = self._identity.of(self._picture, figures.landmarks_of(self._picture, data / "models"))
        self._near: list[tuple[float, float]] = []
        self._tiles: list[tuple[float, ImageBGR]] = []

    def look(self, frame: figures.Swapped) -> None:
        """Takes in one frame."""
        face = frame.face
        tiles = [tile(frame, picture) for picture in (frame.before, frame.after)]
        self._tiles.append((0.0 if face is None else turn(face.landmarks), np.vstack(tiles)))
        if face is not None and frame.shown is Shown.SWAPPED:
            live, worn = (self._identity.of(one, face.landmarks) for one in (frame.before, frame.after))
            self._near.append((float(worn @ self._source), float(worn @ live)))

    def nearness(self) -> str:
        """Mean cosines to the source and to the live person, and the part of frames nearer to the source."""
        if not self._near:
            return f"{'-':>7} {'-':>6} {'-':>7}"
        (source, live), nearer = np.mean(self._near, axis=0), np.mean([a > b for a, b in self._near])
        return f"{source:7.3f} {live:6.3f} {nearer:7.2f}"

    def sheet(self) -> ImageBGR:
        """The source; then frames before (above) and after: evenly spaced, and the most turned ones."""
        even = np.linspace(0.1, 0.95, COLUMNS // 2) * (len(self._tiles) - 1)
        turned = sorted(self._tiles, key=lambda seen: seen[0])[-COLUMNS // 2 :]
        chosen = [self._tiles[int(index)] for index in even] + turned
        side = TILE / max(self._picture.shape[:2])
        small = cv2.resize(self._picture, None, fx=side, fy=side, interpolation=cv2.INTER_AREA)
        first = np.zeros((2 * TILE, TILE, 3), np.uint8)
        first[: small.shape[0], : small.shape[1]] = small
        return np.hstack([first, *(pair for _, pair in chosen)])


def turn(landmarks: Points) -> float:
    """How unequal the two halves of a face are."""
    left, right = np.linalg.norm(landmarks[[234, 454]] - landmarks[4], axis=1)
    return float(abs(left - right) / (left + right))


def tile(frame: figures.Swapped, picture: ImageBGR) -> ImageBGR:
    """The face and its surroundings, or the whole picture where none is seen."""
    height, width = picture.shape[:2]
    center, half = (width / 2, height / 2), max(height, width) / 2
    if frame.face is not None:
        low, high = frame.face.landmarks.min(axis=0), frame.face.landmarks.max(axis=0)
        center, half = (low + high) / 2, float((high - low).max()) * 0.85
    scale = TILE / 2 / half
    matrix = np.array([[scale, 0, TILE / 2 - center[0] * scale], [0, scale, TILE / 2 - center[1] * scale]])
    return cv2.warpAffine(picture, matrix, (TILE, TILE), flags=cv2.INTER_CUBIC)


if __name__ == "__main__":
    main()
