"""Runs a clip through the engine and looks at every frame."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise, repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt

from obs_faceswap.engine import pipeline
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.errors import MediaError, ModelMissingError
from obs_faceswap.engine.faces import FaceKind, find
from obs_faceswap.engine.find.landmarks import FaceMesh, roi_of_landmarks
from obs_faceswap.engine.find.networks import Networks
from obs_faceswap.engine.pictures import read_picture
from obs_faceswap.engine.runtime.session import Session
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.store import models
from obs_faceswap.engine.types import ImageBGR, Points, Shown
from obs_faceswap.ui.quality import figures
from obs_faceswap.ui.quality.judges import Expression, Identity
from obs_faceswap.ui.quality.seen import Seen, frame_of, frames_of, look, picture_of

Doubles = npt.NDArray[np.float64]
OnProgress = Callable[[int], None]

_JUDGED_EVERY = 5  # frames; whose face it is changes slowly, and the networks take time


@dataclass(slots=True)
class Course:
    """What was seen of a clip, in its frames' order."""

    seen: list[Seen] = field(default_factory=list)
    to_source: dict[int, float] = field(default_factory=dict)  # likeness of the swap, by the frame's number
    to_live: dict[int, float] = field(default_factory=dict)
    live_expressions: list[Doubles] = field(default_factory=list)
    worn_expressions: list[Doubles] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)  # figures that cannot be measured, and why

    @property
    def swapped(self) -> list[Seen]:
        """The frames that were swapped and show a face."""
        return [one for one in self.seen if one.shown is Shown.SWAPPED and one.before is not None]


def watch(
    clip: Path,
    settings: Settings,
    reference: Path | None,
    models_from: Path | None,
    on_frame: OnProgress,
    most: int | None = None,
) -> Course:
    """Swaps a clip and notes what is seen.

    Args:
        clip: the live video.
        settings: with a face.
        reference: a video of the same motion that shows the exact result.
        models_from: a folder of network files, tried first; the judges' files are looked for there.
        on_frame: gets the number of frames done.
        most: frames that are looked at, from the clip's start; None is all.

    Raises:
        FaceSwapError: the face, a network or a clip cannot be used.
    """
    engine = pipeline.load(settings, models_from)
    judges = _Judges(settings, models_from)
    try:
        for number, (at_ns, image, exact) in enumerate(islice(_together(clip, reference), most)):
            frame = frame_of(image, at_ns)
            result = engine.process(frame, settings)
            after = picture_of(frame)
            face = result.faces[0] if result.faces else None
            raw = judges.raw_landmarks(image, face.landmarks) if face is not None else None
            seen = look(number, image, after, exact, result, raw)
            judges.judge(seen, image, after)
            judges.course.seen.append(seen)
            on_frame(number + 1)
    finally:
        engine.close()
        judges.close()
    if not judges.course.seen:
        raise MediaError(f"{clip} holds no frame. Try another file.")
    return judges.course


def _together(clip: Path, reference: Path | None) -> Iterator[tuple[int, ImageBGR, ImageBGR | None]]:
    exact: Iterator[ImageBGR | None] = (
        (image for _, image in frames_of(reference)) if reference is not None else repeat(None)
    )
    for at_ns, image in frames_of(clip):
        other = next(exact, None)
        if reference is not None and (other is None or other.shape != image.shape):
            raise MediaError(
                f"{reference} does not fit {clip}: expected as many frames of the same size. "
                "Give a video of the same motion."
            )
        yield at_ns, image, other


class _Judges:
    """The networks that look at the frames, as far as they are there."""

    def __init__(self, settings: Settings, models_from: Path | None) -> None:
        self.course = Course()
        self._mesh_session = Session(models.find("facemesh_468", models_from), "cpu")
        self._mesh = FaceMesh(self._mesh_session)
        self._identity = self._expression = None
        try:
            self._identity = Identity(models_from)
            self._source = self._source_embedding(settings, models_from)
        except ModelMissingError as error:
            self.course.missing["identity"] = str(error)
        try:
            self._expression = Expression(models_from)
        except ModelMissingError as error:
            self.course.missing["expression"] = str(error)

    def _source_embedding(
        self, settings: Settings, models_from: Path | None
    ) -> npt.NDArray[np.float32] | None:
        """Of a photo face; a model's source is not known."""
        face = find(settings.face or settings.face_file)
        if face.kind is FaceKind.DFM or self._identity is None:
            self.course.missing["likeness to the source"] = "a model's source is not known"
            return None
        image = read_picture(face.pictures()[0])
        networks = Networks(settings, models_from)
        try:
            found = networks.finder.find(Picture.of(image), 0, Settings(smoothing=0))
        finally:
            networks.close()
        seen = found.target or next(iter(found.others), None)
        return self._identity.of(image, seen.landmarks) if seen is not None else None

    def raw_landmarks(self, image: ImageBGR, landmarks: Points) -> Points:
        """The mesh of this frame alone, looked for where the face is known to be."""
        return self._mesh.find(Picture.of(image), *roi_of_landmarks(landmarks))[0]

    def judge(self, seen: Seen, before: ImageBGR, after: ImageBGR) -> None:
        """Looks at a frame, if it is one of those that are judged."""
        if seen.face is None or seen.shown is not Shown.SWAPPED or seen.number % _JUDGED_EVERY:
            return
        landmarks = seen.face.landmarks
        if self._identity is not None:
            live, worn = self._identity.of(before, landmarks), self._identity.of(after, landmarks)
            self.course.to_live[seen.number] = float(worn @ live)
            if self._source is not None:
                self.course.to_source[seen.number] = float(worn @ self._source)
        if self._expression is not None:
            for image, kept in (
                (before, self.course.live_expressions),
                (after, self.course.worn_expressions),
            ):
                kept.append(self._expression.of(image, landmarks).astype(np.float64))

    def close(self) -> None:
        """Frees the networks."""
        self._mesh_session.close()
        for judge in (self._identity, self._expression):
            if judge is not None:
                judge.close()


def summary(course: Course) -> dict[str, object]:
    """All figures of a clip; docs/quality.md explains them. A figure that was not measured is null."""
    shown = [one.shown for one in course.seen]
    count = Counter(shown)
    return {
        "frames": len(shown),
        **{f"frames_{kind}": count[kind] for kind in Shown},
        "switches": sum(one is not other for one, other in pairwise(shown)),
        "frames_bare": sum(figures.is_bare(one) for one in course.seen),
        **_identity(course),
        "expression": _rounded(
            figures.agreement(course.live_expressions, course.worn_expressions)
            if len(course.live_expressions) > 2
            else None
        ),
        **_landmarks(course.swapped),
        **_looks(course.swapped),
        "remaining": _rounded(figures.remaining(course.seen)),
        "not_measured": course.missing,
    }


def _identity(course: Course) -> dict[str, object]:
    to_source, to_live = list(course.to_source.values()), list(course.to_live.values())
    nearer = [course.to_source[number] > course.to_live[number] for number in course.to_source]
    return {
        "likeness_to_source": _mean(to_source),
        "likeness_to_live": _mean(to_live),
        "nearer_to_source": _mean(nearer),
    }


def _landmarks(swapped: Sequence[Seen]) -> dict[str, object]:
    known = [one for one in swapped if one.face is not None and one.raw is not None]
    numbers = [one.number for one in known]
    tracks = [one.face.landmarks for one in known if one.face is not None]
    raws = [one.raw for one in known if one.raw is not None]
    return {
        "jitter_percent": _rounded(figures.jitter(tracks, numbers)),
        "jitter_unsmoothed_percent": _rounded(figures.jitter(raws, numbers)),
        "lag_frames": _rounded(figures.lag(tracks, raws, numbers) if tracks else None),
    }


def _looks(swapped: Sequence[Seen]) -> dict[str, object]:
    numbers = [one.number for one in swapped]
    return {
        "color_flicker": _rounded(_more(swapped, numbers, "inner")),
        "edge_flicker": _rounded(_more(swapped, numbers, "ring")),
        "seam": _mean([figures.seam(one) for one in swapped]),
        "neck_mismatch": _mean([figures.mismatch(one) for one in swapped]),
        "sharpness": _rounded(figures.typical_ratio(_known(map(figures.sharpness, swapped)))),
        "grain": _mean(_known(map(figures.grain, swapped))),
    }


def _more(swapped: Sequence[Seen], numbers: Sequence[int], where: str) -> float | None:
    """How much more the color of a part of the face flickers than the live one did, in Lab units."""
    if len(swapped) < 3:
        return None
    live, worn = (
        np.stack([figures.mean_color(getattr(one, which), getattr(one, where)) for one in swapped])
        for which in ("before", "after")
    )
    return figures.flicker(worn, numbers) - figures.flicker(live, numbers)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
    return _rounded(float(np.mean(values))) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, 4)
