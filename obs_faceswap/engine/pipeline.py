"""The story of one frame: find the face, cut it out, swap it, put it back, or show what stands in for it."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np

from obs_faceswap.engine import still, templates
from obs_faceswap.engine.align import cut, cut_face, in_frame_pixels, scale_of, to_crop, warp_for
from obs_faceswap.engine.color import ColorMatch
from obs_faceswap.engine.errors import FaceError, FaceSwapError, FaceUnseenError, ModelError
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.fill import fill
from obs_faceswap.engine.finder import Found
from obs_faceswap.engine.governor import Plan
from obs_faceswap.engine.mask import finish
from obs_faceswap.engine.merge import cover_region, merge
from obs_faceswap.engine.pace import OLDEST_SWAP_NS
from obs_faceswap.engine.picture import Picture
from obs_faceswap.engine.place import place_of, warp_at
from obs_faceswap.engine.policy import NoFacePolicy, Step
from obs_faceswap.engine.providers import usable_processors
from obs_faceswap.engine.reproject import hidden, reprojected, without_kept
from obs_faceswap.engine.settings import ColorTransfer, Cover, Settings, covers_other_faces
from obs_faceswap.engine.types import (
    AlignedFace,
    Face,
    Frame,
    Result,
    Shown,
    SwappedFace,
    Warp,
)
from obs_faceswap.engine.wear import Networks, Worn, wear

logger = logging.getLogger(__name__)

# What may go wrong with one frame without anything being wrong with the next: all of it means "no swap".
_FRAME_ERRORS = (FaceSwapError, cv2.error, ArithmeticError, ValueError, IndexError)

# A swap on less than this part of the face's outline would leave a face bare that can be recognized.
_LEAST_HIDDEN = 0.4
_NANOSECONDS = 1e9
_NO_PLAN = Plan()
_NO_FACE = "No face is seen."
_NOT_READY = "No swap of this face is finished yet."
_NOT_HIDDEN = "The face is turned too far away, or lies outside the picture."


class Stage(StrEnum):
    """The timed steps, in their order."""

    CONVERT = "convert"
    FIND = "find"
    OTHERS = "others"
    ALIGN = "align"
    SWAP = "swap"
    REPROJECT = "reproject"
    COLOR = "color"
    MASK = "mask"
    MERGE = "merge"
    POLICY = "policy"


class Stopwatch:
    """Times the stages of one frame."""

    def __init__(self) -> None:
        self.stages_ms: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        """Notes how long the block takes."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.stages_ms[stage] = (time.perf_counter() - start) * 1000


def load(settings: Settings, models_from: Path | None = None, at_once: bool = False) -> "Pipeline":
    """Loads networks and face. Slow; may run on another thread than the pipeline that is running.

    Args:
        settings: `face`, `face_file` and the devices are used.
        models_from: a folder of the user's own network files, tried first.
        at_once: as for `wear.wear`.

    Raises:
        FaceSwapError: the face, a network or the device cannot be used; nothing stays loaded.
    """
    worn = wear(settings, models_from, at_once)
    try:
        networks = Networks(settings, models_from)
    except Exception:
        worn.close()
        raise
    return Pipeline(networks, worn)


@dataclass(frozen=True, slots=True)
class Begun:
    """What is known of a frame before its swap.

    Attributes:
        aligned: the target, cut out; None if there is nobody to swap.
        fault: why that is so, where it is not because no face is seen.
    """

    settings: Settings
    timestamp_ns: int
    found: Found
    aligned: AlignedFace | None
    fault: Exception | None
    stages_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class Swap:
    """What the swapper made of one frame.

    Attributes:
        aligned: the crop that it was given,
        timestamp_ns: and that frame's time.
        face: None if it failed;
        fault: then this says why.
    """

    aligned: AlignedFace
    timestamp_ns: int
    face: SwappedFace | None
    fault: Exception | None
    stages_ms: dict[str, float]


class Pipeline:
    """Everything that one stream of frames needs.

    It belongs to one thread, which calls `process`, or `begin` and `finish` with a thread for `swap` beside.
    """

    def __init__(self, networks: Networks, worn: Worn) -> None:
        self._networks = networks
        self._worn = worn
        self._color = ColorMatch()
        self._policy = NoFacePolicy(Cover.FREEZE_BLUR)
        self._last_swap = still.LastSwap()
        self._settings: Settings | None = None
        self._swapper_knows: Settings | None = None  # the settings it took over last
        self._track_id = -1
        self._picture: Picture | None = None  # the frame's before, for its memory

    def process(self, frame: Frame, settings: Settings, plan: Plan = _NO_PLAN) -> Result:
        """Changes the frame's planes in place to what may be shown; a bad frame is one without a swap.

        The frame shows its own swap, or what the policy says in its place; it stays as it came only under
        *Show original*. The policy runs on the frames' own timestamps.
        """
        begun = self.begin(frame, settings, plan)
        return self.finish(frame, begun, self.swap(begun))

    def begin(self, frame: Frame, settings: Settings, plan: Plan = _NO_PLAN) -> Begun:
        """Finds the faces of a frame and cuts the target out; the frame itself stays as it is."""
        watch, found, aligned, fault = Stopwatch(), Found(None, []), None, None
        try:
            with watch(Stage.CONVERT):
                picture = self._picture = Picture(frame, self._picture)
            with watch(Stage.FIND):
                self._networks.finder.search_every_s = plan.search_every_s
                found = self._networks.finder.find(picture, frame.timestamp_ns, settings)
            if found.target is not None:
                with watch(Stage.ALIGN):
                    aligned = self._aligned(picture, found.target, settings, plan.crop_limit_px)
        except _FRAME_ERRORS as error:
            fault = _noted(error)
        return Begun(settings, frame.timestamp_ns, found, aligned, fault, watch.stages_ms)

    def swap(self, begun: Begun) -> Swap | None:
        """Runs the swapper on what was cut out; None if nothing was. May be called on another thread.

        Calls may overlap those of `begin` and `finish`, but not each other.
        """
        if begun.aligned is None:
            return None
        if begun.settings is not self._swapper_knows:
            self._swapper_knows = begun.settings
            self._worn.swapper.update(begun.settings)
        watch, face, fault = Stopwatch(), None, None
        try:
            with watch(Stage.SWAP):
                face = _checked(self._worn.swapper.swap(begun.aligned), begun.aligned)
        except _FRAME_ERRORS as error:
            fault = _noted(error)
        return Swap(begun.aligned, begun.timestamp_ns, face, fault, watch.stages_ms)

    def finish(self, frame: Frame, begun: Begun, swap: Swap | None) -> Result:
        """Changes the frame's planes in place: the swap is put back, or the policy's picture takes its place.

        Args:
            frame: the frame that `begin` saw.
            begun: what that gave.
            swap: what `swap` made of it, or of an earlier frame of the stream: then it is moved to where the
                face is now, or not used where that cannot hide the face. None means that there is none.
        """
        watch, has_swap, fault = Stopwatch(), False, begun.fault or (swap.fault if swap else None)
        notice = _notice(begun, swap)
        self._take_over(begun.settings)
        try:
            with watch(Stage.OTHERS):
                _cover_others(frame, begun.found, begun.settings)
            face = _placed(begun, swap, watch, self._worn.fills_frame)
            if begun.aligned is not None and face is not None:
                has_swap = self._put_back(frame, begun.aligned, face, begun.settings, watch)
        except _FRAME_ERRORS as error:
            has_swap, fault, notice = False, _noted(error), str(error)
        with watch(Stage.POLICY):
            shown = self._show(frame, has_swap, begun.settings)
        stages_ms = begun.stages_ms | (swap.stages_ms if swap is not None else {}) | watch.stages_ms
        return Result(shown, _faces(begun.found), stages_ms, "" if has_swap else notice, _own_fault(fault))

    def _put_back(
        self, frame: Frame, aligned: AlignedFace, swapped: SwappedFace, settings: Settings, watch: Stopwatch
    ) -> bool:
        """Puts a swapped crop back into its frame; whether the face is hidden now."""
        if self._worn.fills_frame:
            with watch(Stage.MERGE):
                return fill(frame, swapped, settings)
        if hidden(swapped.mask, aligned.landmarks, aligned.warp.size) < _LEAST_HIDDEN:
            return False
        with watch(Stage.COLOR):
            swapped = self._matched(swapped, aligned, frame.timestamp_ns, settings)
        with watch(Stage.MASK):
            mask = finish(swapped.mask, settings.mask_erode, settings.mask_blur)
            if swapped.alpha is None:  # else the swapper itself keeps what is to be kept
                mask = without_kept(mask, aligned.landmarks, settings)
        with watch(Stage.MERGE):
            return merge(frame, swapped, aligned.warp, mask, settings) is not None

    def _aligned(
        self, picture: Picture, target: Face, settings: Settings, limit_px: int | None
    ) -> AlignedFace:
        side_px = 1 / scale_of(self._warp(target, 1, picture, settings))
        size = self._worn.swapper.crop_size(min(side_px, limit_px) if limit_px else side_px)
        warp = self._warp(target, size, picture, settings)
        if self._worn.swapper.is_upright:
            warp = in_frame_pixels(warp)
            crop = cut_face(picture, warp, target.landmarks)
        else:
            crop = cut(picture, warp)
        return AlignedFace(crop, warp, to_crop(warp, target.landmarks), target)

    def _warp(self, target: Face, size: int, picture: Picture, settings: Settings) -> Warp:
        """The crop of a face where the swapper wants it."""
        place = (settings.coverage, settings.align_x, settings.align_y)
        if self._worn.template is not None:
            return templates.placed(self._worn.template, target.landmarks, size, *place)
        if self._worn.kind is FaceKind.DFM:
            return warp_at(target, size, (picture.width, picture.height), place_of(settings))
        return warp_for(target.landmarks, size, *place)

    def _matched(
        self, swapped: SwappedFace, aligned: AlignedFace, timestamp_ns: int, settings: Settings
    ) -> SwappedFace:
        if settings.color_transfer is ColorTransfer.NONE:
            return swapped
        if aligned.face.track_id != self._track_id:
            self._track_id = aligned.face.track_id
            self._color.reset()
        return self._color.match(swapped, aligned.crop, timestamp_ns)

    def _show(self, frame: Frame, has_swap: bool, settings: Settings) -> Shown:
        """Makes the frame what the policy says, and keeps a swap for the next time there is none."""
        action = self._policy.step(has_swap, frame.timestamp_ns / _NANOSECONDS)
        if action.step is Step.SHOW:
            self._last_swap.keep(frame)
            return Shown.SWAPPED
        if action.step is Step.ORIGINAL:
            return Shown.ORIGINAL
        has_still = self._last_swap.fits(frame)
        if action.step is Step.FREEZE and has_still:
            self._last_swap.show(frame)
            return Shown.FROZEN
        still.hide(frame) if settings.cover is Cover.HIDE else still.blur(frame)
        if action.step is Step.FADE and has_still:
            self._last_swap.show(frame, action.frozen_weight)
            return Shown.FROZEN
        return Shown.COVERED

    def _take_over(self, settings: Settings) -> None:
        if settings is not self._settings:
            self._settings = settings
            self._policy.cover = settings.cover

    def adopt(self, old: "Pipeline") -> None:
        """Goes on with the stream of another pipeline: what was shown last, and the face that is followed.

        Call it between two frames, then close the other one.
        """
        self._policy, self._last_swap = old._policy, old._last_swap
        self._settings = None  # the policy may hold another cover
        self._networks.finder.adopt(old._networks.finder)

    @property
    def provider(self) -> str:
        """The device that does the most work: the swap network's, or that of the networks that find faces."""
        session = self._worn.session
        return session.provider if session is not None else self._networks.provider

    @property
    def stages(self) -> Mapping[str, str]:
        """The devices of the networks that find faces, by what each does."""
        return {"faces found": self._networks.detector_provider, "faces followed": self._networks.provider}

    @property
    def can_overlap(self) -> bool:
        """Whether a swap beside the beginning of the next frame makes both faster.

        On one device they share the processors, which takes a third core to gain anything.
        """
        return usable_processors() > 2 or self.provider != self._networks.provider

    @property
    def notice(self) -> str:
        """What the user should know although all runs: another device than asked for, an unused picture."""
        return " ".join(filter(None, (self._networks.notice, self._worn.notice)))

    @property
    def to_improve(self) -> Path | None:
        """The network of which a faster form may be made beside this engine."""
        return self._worn.to_improve

    @property
    def has_morph(self) -> bool:
        """Whether the Morph setting acts on the worn face."""
        return self._worn.has_morph

    def close(self) -> None:
        """Frees the face and the networks, where no other stream uses them."""
        self._worn.close()
        self._networks.close()


def _noted(error: Exception) -> Exception:
    """An error that costs a frame its swap."""
    logger.debug("A frame could not be swapped", exc_info=error)
    return error


def _own_fault(error: Exception | None) -> Exception | None:
    """The error if it is the engine's; nothing is wrong where a frame just shows no face to swap."""
    return None if isinstance(error, (FaceError, FaceUnseenError)) else error


def _notice(begun: Begun, swap: Swap | None) -> str:
    """Why a frame shows no swap, if it shows none."""
    fault = begun.fault or (swap.fault if swap is not None else None)
    if fault is not None:
        return str(fault)
    if begun.aligned is None:
        return _NO_FACE
    return _NOT_HIDDEN if _is_current(begun.aligned, begun.timestamp_ns, swap) else _NOT_READY


def _is_current(aligned: AlignedFace, timestamp_ns: int, swap: Swap | None) -> bool:
    """Whether a swap may be shown on a frame: it is the frame's own, or a young one of the same face."""
    if swap is None or swap.aligned is aligned:
        return swap is not None
    is_young = abs(timestamp_ns - swap.timestamp_ns) <= OLDEST_SWAP_NS
    return is_young and swap.aligned.face.track_id == aligned.face.track_id


def _placed(begun: Begun, swap: Swap | None, watch: Stopwatch, stays: bool) -> SwappedFace | None:
    """The swap where a frame's face is, or as it is where it stays; None if it failed or may not be shown."""
    aligned = begun.aligned
    if (
        aligned is None
        or swap is None
        or swap.face is None
        or not _is_current(aligned, begun.timestamp_ns, swap)
    ):
        return None
    if swap.aligned is aligned or stays:
        return swap.face
    with watch(Stage.REPROJECT):
        return reprojected(swap.face, swap.aligned, aligned, begun.settings)


def _cover_others(frame: Frame, found: Found, settings: Settings) -> None:
    if covers_other_faces(settings):
        for face in found.others:
            cover_region(frame, face.landmarks)


def _checked(swapped: SwappedFace, aligned: AlignedFace) -> SwappedFace:
    """The swap, if it can be shown; raises ModelError."""
    sides = swapped.mask.shape
    if swapped.crop.shape != aligned.crop.shape or len(set(sides)) != 1 or sides[0] > aligned.warp.size:
        raise ModelError(
            f"The swap has the size {swapped.crop.shape} and its mask {swapped.mask.shape}; "
            f"expected {aligned.crop.shape[:2]}. Choose another face."
        )
    if not np.isfinite(swapped.mask).all():
        raise ModelError("The swap's mask holds values that are no numbers. Choose another face or device.")
    return swapped


def _faces(found: Found) -> list[Face]:
    return [face for face in (found.target, *found.others) if face is not None]
