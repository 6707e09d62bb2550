"""What is known of a frame on its way: what was begun, what was swapped, and how long each step took."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from obs_faceswap.engine.crop.occlusion import Visible
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.live.pace import OLDEST_SWAP_NS
from obs_faceswap.engine.settings import Settings
from obs_faceswap.engine.types import AlignedFace, SwappedFace

_NO_FACE = "No face is seen."
_NOBODY = "No face to swap is seen."
_NOT_READY = "No swap of this face is finished yet."
_NOT_HIDDEN = "The face is turned too far away, or lies outside the picture."


class Stage(StrEnum):
    """The timed steps, in their order."""

    CONVERT = "convert"
    FIND = "find"
    OTHERS = "others"
    OCCLUSION = "occlusion"
    ALIGN = "align"
    SWAP = "swap"
    REPROJECT = "reproject"
    COLOR = "color"
    MASK = "mask"
    MERGE = "merge"
    POLICY = "policy"
    DEBUG_VIEW = "debug_view"


class Stopwatch:
    """Times the stages of one frame; what is done for several faces is added up."""

    def __init__(self) -> None:
        self.stages_ms: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        """Notes how long the block takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            passed_ms = (time.perf_counter() - start) * 1000
            self.stages_ms[stage] = self.stages_ms.get(stage, 0.0) + passed_ms


@dataclass(frozen=True, slots=True)
class Begun:
    """What is known of a frame before its swap.

    Attributes:
        cuts: the faces to swap, cut out; none if there is nobody to swap.
        fault: why one is missing, where it is not because no face is seen.
        visible: where each face is seen, by its track; one that is missing is seen everywhere.
    """

    settings: Settings
    timestamp_ns: int
    found: Found
    cuts: tuple[AlignedFace, ...]
    fault: Exception | None
    stages_ms: dict[str, float]
    visible: Mapping[int, Visible] = field(default_factory=dict)

    @property
    def aligned(self) -> AlignedFace | None:
        """The first face to swap."""
        return self.cuts[0] if self.cuts else None


@dataclass(frozen=True, slots=True)
class Made:
    """What a swapper made of one face.

    Attributes:
        aligned: the crop that it was given.
        face: None if it failed;
        fault: then this says why.
    """

    aligned: AlignedFace
    face: SwappedFace | None
    fault: Exception | None


@dataclass(frozen=True, slots=True)
class Swap:
    """What the swappers made of one frame, at the frame's own time."""

    timestamp_ns: int
    made: tuple[Made, ...]
    stages_ms: dict[str, float]


def reason(begun: Begun, swap: Swap | None, done: set[int]) -> str:
    """Why faces are not swapped although nothing failed."""
    bare = [aligned for aligned in begun.cuts if aligned.face.track_id not in done]
    if not bare:
        return _NOBODY if begun.found.others else _NO_FACE
    return why_bare(bare[0], begun, swap)


def why_bare(aligned: AlignedFace, begun: Begun, swap: Swap | None) -> str:
    """Why a face that was cut out is not swapped."""
    made = made_for(aligned, begun.timestamp_ns, swap)
    if made is None:
        return _NOT_READY
    return _NOT_HIDDEN if made.fault is None else str(made.fault)


def all_made(swap: Swap | None) -> tuple[Made, ...]:
    return swap.made if swap is not None else ()


def made_for(aligned: AlignedFace, timestamp_ns: int, swap: Swap | None) -> Made | None:
    """What may be shown on a face: its own swap of this frame, or a young one of an earlier frame."""
    if swap is None:
        return None
    is_young = abs(timestamp_ns - swap.timestamp_ns) <= OLDEST_SWAP_NS
    for made in swap.made:
        face = made.aligned.face
        is_same = (face.track_id, face.slot) == (aligned.face.track_id, aligned.face.slot)
        if made.aligned is aligned or (is_young and is_same):
            return made
    return None
