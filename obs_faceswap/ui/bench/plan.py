"""What a run of the benchmark works with, and the faces it measures."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from obs_faceswap.engine import pipeline
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import Settings
from obs_faceswap.ui import materials
from obs_faceswap.ui.bench import networks
from obs_faceswap.ui.bench.scene import Subject

Figures: TypeAlias = dict[str, Any]  # numbers, texts and Figures; what --json prints
OnProgress: TypeAlias = Callable[[str, float], None]

SIZES_WH = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)}


@dataclass(frozen=True, slots=True)
class Case:
    """A face that is measured."""

    name: str
    face: str  # as the setting takes it

    @property
    def is_model(self) -> bool:
        """Whether it is a `.dfm`, not a photo."""
        return self.face.endswith(".dfm")


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: what the user chose, and what all sections share.

    Attributes:
        settings: `device` and all the rest but the face.
        picture: the file of the picture whose face is swapped.
        face: measured in place of the built-in faces; empty for those.
        quick: fewer frames.
        models_from: a folder of network files, tried first.
        folder: for files that are gone after the run.
        on_progress: gets what is measured, and how much of it is done.
    """

    settings: Settings
    picture: Path
    face: str
    quick: bool
    models_from: Path | None
    folder: Path
    on_progress: OnProgress
    _subject: list[Subject] = field(default_factory=list)

    def count(self, full: int, quick: int) -> int:
        """How many of something this run takes."""
        return quick if self.quick else full

    def photo(self) -> Case:
        """The demo's face, or the user's choice."""
        return Case("own", self.face) if self.face else Case("photo", _demo_face())

    def small(self) -> list[Case]:
        """The photo and a small model, or the user's choice."""
        if self.face:
            return [self.photo()]
        return [self.photo(), Case("dfm_128", str(networks.small(self.folder)))]

    def all(self) -> list[Case]:
        """The small cases and a model as large as the public ones, or the user's choice."""
        if self.face:
            return [self.photo()]
        return [*self.small(), Case("dfm_224", str(networks.large(self.folder)))]

    def wearing(self, case: Case) -> Settings:
        """The settings of one case."""
        return replace(self.settings, face=case.face)

    def load(self, case: Case) -> Pipeline:
        """The engine of one case; to be closed."""
        return pipeline.load(self.wearing(case), self.models_from)

    def subject(self) -> Subject:
        """The face in the picture, found once a run."""
        if not self._subject:
            self._subject.append(Subject.find(self.picture, self.load(self.photo()), self.settings))
        return self._subject[0]


def _demo_face() -> str:
    return str(materials.packaged("demo/face.jpg"))
