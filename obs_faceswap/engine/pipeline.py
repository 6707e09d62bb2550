"""The story of one frame: find the face, cut it out, swap it, put it back, or show what stands in for it."""

import logging
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from obs_faceswap.engine.crop import templates
from obs_faceswap.engine.crop.align import (
    cut,
    cut_face,
    in_frame_pixels,
    resized,
    scale_of,
    to_crop,
    warp_for,
)
from obs_faceswap.engine.crop.front import Front
from obs_faceswap.engine.crop.front import load as load_front
from obs_faceswap.engine.crop.masking import face_masks
from obs_faceswap.engine.crop.occlusion import Visible
from obs_faceswap.engine.crop.picture import Picture
from obs_faceswap.engine.crop.place import place_of, warp_at
from obs_faceswap.engine.errors import FaceError, FaceSwapError, FaceUnseenError, ModelError, explain
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.find.assignment import slots_of, wearing
from obs_faceswap.engine.find.finder import Found
from obs_faceswap.engine.find.networks import Networks
from obs_faceswap.engine.finish import still
from obs_faceswap.engine.finish.debug_view import DebugDrawing
from obs_faceswap.engine.finish.fill import fill
from obs_faceswap.engine.finish.look import Look
from obs_faceswap.engine.finish.merge import cover_region
from obs_faceswap.engine.finish.poisson import seamless
from obs_faceswap.engine.finish.policy import NoFacePolicy, Step
from obs_faceswap.engine.finish.reproject import reprojected
from obs_faceswap.engine.finish.seen import Seen, Steps
from obs_faceswap.engine.live.governor import Plan
from obs_faceswap.engine.runtime.providers import usable_processors
from obs_faceswap.engine.settings import Cover, DebugView, Settings, covers_other_faces
from obs_faceswap.engine.steps import Begun, Made, Stage, Stopwatch, Swap, all_made, made_for, reason
from obs_faceswap.engine.types import (
    AlignedFace,
    Face,
    Frame,
    Points,
    Result,
    Shown,
    SwappedFace,
    Warp,
)
from obs_faceswap.engine.wardrobe import Wardrobe
from obs_faceswap.engine.wear import Worn, wear

logger = logging.getLogger(__name__)

# What may go wrong with one frame without anything being wrong with the next: all of it means "no swap".
_FRAME_ERRORS = (FaceSwapError, cv2.error, ArithmeticError, ValueError, IndexError)

_MOVED = 0.4  # parts of a face's size that one may have moved since it was lost
_FARTHEST_PX = 1e6  # no picture is that large
_NO_SIZE_PX = 4  # no face is that small
_MOST_LOOKS = 16
_NANOSECONDS = 1e9
_NO_PLAN = Plan()


def load(settings: Settings, models_from: Path | None = None, at_once: bool = False) -> "Pipeline":
    """Loads networks and face. Slow; may run on another thread than the pipeline that is running.

    Args:
        settings: the faces, the networks and the devices are used.
        models_from: a folder of the user's own network files, tried first.
        at_once: as for `wear.wear`.

    Raises:
        FaceSwapError: the face, a network or the device cannot be used; nothing stays loaded.
    """
    with ExitStack() as loaded:
        worn = wear(settings, models_from, at_once)
        loaded.callback(worn.close)
        more: dict[int, Worn] = {}
        for slot in slots_of(settings):
            if slot.face:
                more[slot.number] = wear(wearing(settings, slot), models_from, at_once)
                loaded.callback(more[slot.number].close)
        networks = Networks(settings, models_from)
        loaded.callback(networks.close)
        engine = Pipeline(networks, worn, load_front(settings, models_from), more)
        loaded.pop_all()
    return engine


class Pipeline:
    """Everything that one stream of frames needs.

    It belongs to one thread, which calls `process`, or `begin` and `finish` with a thread for `swap` beside.
    """

    def __init__(
        self,
        networks: Networks,
        worn: Worn,
        front: Front | None = None,
        more: Mapping[int, Worn] | None = None,
    ) -> None:
        self._networks, self._front = networks, front or Front()
        self._wardrobe = Wardrobe(worn, more)
        self._looks: dict[int, Look] = {}  # by track
        self._policy = NoFacePolicy(Cover.FREEZE_BLUR)
        self._last_swap = still.LastSwap()
        self._settings: Settings | None = None
        self._picture: Picture | None = None  # the frame's before, for its memory
        self._debug: DebugDrawing | None = None  # while the debug view is on

    def process(self, frame: Frame, settings: Settings, plan: Plan = _NO_PLAN) -> Result:
        """Changes the frame's planes in place to what may be shown; a bad frame is one without a swap.

        The frame shows its own swap, or what the policy says in its place; it stays as it came only under
        *Show original*. The policy runs on the frames' own timestamps.
        """
        begun = self.begin(frame, settings, plan)
        return self.finish(frame, begun, self.swap(begun))

    def begin(self, frame: Frame, settings: Settings, plan: Plan = _NO_PLAN) -> Begun:
        """Finds the faces of a frame and cuts out who is swapped; the frame itself stays as it is."""
        watch, found = Stopwatch(), Found(None, [])
        cuts: list[AlignedFace] = []
        fault: Exception | None = None
        try:
            with watch(Stage.CONVERT):
                picture = self._picture = Picture(frame, self._picture)
            with watch(Stage.FIND):
                self._networks.finder.search_every_s = plan.search_every_s
                found = self._networks.finder.find(picture, frame.timestamp_ns, settings)
                self._networks.enroller.step(picture, found.target, settings.person_name, frame.timestamp_ns)
        except _FRAME_ERRORS as error:
            return Begun(settings, frame.timestamp_ns, found, (), _noted(error), watch.stages_ms)
        for target in self._wardrobe.wearing(found.targets):
            try:
                with watch(Stage.ALIGN):
                    cuts.append(self._aligned(picture, target, settings, plan.crop_limit_px))
            except _FRAME_ERRORS as error:
                fault = fault or _noted(error)
        visible: Mapping[int, Visible] = {}
        try:
            with watch(Stage.OCCLUSION):
                faces = [aligned.face for aligned in cuts if not self._wardrobe.fills_frame]
                visible = self._front.visible(picture, faces, frame.timestamp_ns, settings, plan.front_every)
        except _FRAME_ERRORS as error:  # what lies before a face must not be guessed
            cuts, fault = [], _noted(error)
        return Begun(settings, frame.timestamp_ns, found, tuple(cuts), fault, watch.stages_ms, visible)

    def swap(self, begun: Begun) -> Swap | None:
        """Runs the swappers on what was cut out; None if nothing was. May be called on another thread.

        Calls may overlap those of `begin` and `finish`, but not each other.
        """
        if not begun.cuts:
            return None
        self._wardrobe.update(begun.settings)
        watch, made = Stopwatch(), []
        swappers = self._wardrobe.swappers([aligned.face for aligned in begun.cuts])
        for aligned, swapper in zip(begun.cuts, swappers, strict=True):
            try:
                with watch(Stage.SWAP):
                    made.append(Made(aligned, _checked(swapper.swap(aligned), aligned), None))
            except _FRAME_ERRORS as error:
                made.append(Made(aligned, None, _noted(error)))
        return Swap(begun.timestamp_ns, tuple(made), watch.stages_ms)

    def finish(self, frame: Frame, begun: Begun, swap: Swap | None) -> Result:
        """Changes the frame's planes in place: the swaps are put back, or the policy's picture is shown.

        Of several faces one that is not swapped is covered; where none is, the policy says what is shown.

        Args:
            frame: the frame that `begin` saw.
            begun: what that gave.
            swap: what `swap` made of it, or of an earlier frame of the stream: then it is moved to where the
                face is now, or not used where that cannot hide the face. None means that there is none.
        """
        watch = Stopwatch()
        self._take_over(begun.settings)
        done, fault = self._put_all_back(frame, begun, swap, watch)
        with watch(Stage.POLICY):
            shown = self._show(frame, bool(done), begun.settings)
        notice = ""
        if not done or len(done) < len(self._wardrobe.wearing(begun.found.targets)):
            notice = explain(fault) if fault is not None else reason(begun, swap, done)
        notice = " ".join(filter(None, (notice, self._networks.enroller.news(frame.timestamp_ns))))
        stages_ms = begun.stages_ms | (swap.stages_ms if swap is not None else {}) | watch.stages_ms
        result = Result(shown, _faces(begun.found), stages_ms, notice, _own_fault(fault))
        if self._debug is not None:
            _draw(self._debug, frame, Seen(begun, swap, done, result))
        return result

    def _put_all_back(
        self, frame: Frame, begun: Begun, swap: Swap | None, watch: Stopwatch
    ) -> tuple[set[int], Exception | None]:
        """Puts the swaps into their frame: the tracks of the faces that are hidden now, and what failed."""
        done: set[int] = set()
        faults = [begun.fault, *(made.fault for made in all_made(swap))]
        try:
            with watch(Stage.OTHERS):
                _cover_others(frame, begun)
            for aligned in begun.cuts:
                try:
                    if self._put_back(frame, begun, aligned, swap, watch):
                        done.add(aligned.face.track_id)
                except _FRAME_ERRORS as error:
                    faults.append(_noted(error))
            if done and not self._wardrobe.fills_frame:
                with watch(Stage.OTHERS):
                    done = done if _cover_bare(frame, begun, done) else set()
        except _FRAME_ERRORS as error:
            done, faults = set(), [_noted(error)]
        return done, next((fault for fault in faults if fault is not None), None)

    def _put_back(
        self, frame: Frame, begun: Begun, aligned: AlignedFace, swap: Swap | None, watch: Stopwatch
    ) -> bool:
        """Puts a face's swap into its frame; whether the face is hidden now."""
        made = made_for(aligned, begun.timestamp_ns, swap)
        if made is None or made.face is None:
            return False
        swapped: SwappedFace | None = made.face
        if self._wardrobe.fills_frame:
            with watch(Stage.MERGE):
                return fill(frame, made.face, begun.settings)
        if made.aligned is not aligned:
            with watch(Stage.REPROJECT):
                swapped = reprojected(made.face, made.aligned, aligned, begun.settings)
        return swapped is not None and self._merged(frame, begun, aligned, swapped, watch)

    def _merged(
        self, frame: Frame, begun: Begun, aligned: AlignedFace, swapped: SwappedFace, watch: Stopwatch
    ) -> bool:
        """Puts a swapped crop back into its frame; whether the face is hidden now."""
        settings, visible = begun.settings, begun.visible.get(aligned.face.track_id)
        with watch(Stage.MASK):
            masks = face_masks(swapped, aligned, visible, settings)
        if masks is None:
            return False
        look = self._look_of(aligned.face.track_id)
        with watch(Stage.COLOR):
            face = replace(swapped, mask=masks.face)
            colored = look.colored(face, aligned, frame.timestamp_ns, settings)
            colored = seamless(colored, aligned, masks.shown, settings)
        if self._debug is not None:
            self._debug.note(aligned, Steps(swapped, colored, masks))
        with watch(Stage.MERGE):
            return look.put(frame, aligned, colored, masks.shown, settings)

    def _aligned(
        self, picture: Picture, target: Face, settings: Settings, limit_px: int | None
    ) -> AlignedFace:
        _require_numbers(target)
        worn = self._wardrobe.of(target)
        place = _place(worn, target, picture, settings)
        side_px = 1 / scale_of(place)
        size = worn.swapper.crop_size(min(side_px, limit_px) if limit_px else side_px)
        warp = resized(place, size)
        if worn.swapper.is_upright:
            warp = in_frame_pixels(warp)
            crop = cut_face(picture, warp, target.landmarks)
        else:
            crop = cut(picture, warp)
        return AlignedFace(crop, warp, to_crop(warp, target.landmarks), target)

    def _look_of(self, track_id: int) -> Look:
        if track_id not in self._looks:
            if len(self._looks) >= _MOST_LOOKS:
                self._looks.clear()
            self._looks[track_id] = Look()
        return self._looks[track_id]

    def _show(self, frame: Frame, has_swap: bool, settings: Settings) -> Shown:
        """Makes the frame what the policy says, and keeps a swap for the next time there is none."""
        action = self._policy.step(has_swap, frame.timestamp_ns / _NANOSECONDS)
        if action.step is Step.SHOW:
            self._last_swap.keep(frame, borrows=frame.stays and self._debug is None)
            return Shown.SWAPPED
        self._last_swap.own()
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
            is_off = settings.debug_view is DebugView.OFF
            self._debug = None if is_off else self._debug or DebugDrawing()

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
        return self._wardrobe.provider or self._networks.provider

    @property
    def stages(self) -> Mapping[str, str]:
        """The devices of all networks but the one that swaps, by what each does."""
        return self._networks.stages | self._front.stages | self._wardrobe.stages

    @property
    def can_overlap(self) -> bool:
        """Whether a swap beside the beginning of the next frame makes both faster.

        On one device they share the processors, which takes a third core to gain anything.
        """
        return usable_processors() > 2 or self.provider != self._networks.provider

    @property
    def notice(self) -> str:
        """What the user should know although all runs: another device than asked for, an unused picture."""
        parts = self._networks, self._wardrobe, self._front
        return " ".join(filter(None, (part.notice for part in parts)))

    def enroll(self) -> None:
        """Remembers who is swapped in the next frame; from any thread."""
        self._networks.enroller.ask()

    def take_neutral(self) -> None:
        """Has an animated picture take the next live face as the one that looks like it; from any thread."""
        self._wardrobe.take_neutral()

    @property
    def to_improve(self) -> Path | None:
        """The network of which a faster form may be made beside this engine."""
        return self._wardrobe.to_improve

    @property
    def has_morph(self) -> bool:
        """Whether the Morph setting acts on the worn face."""
        return self._wardrobe.has_morph

    def close(self) -> None:
        """Frees the face and the networks, where no other stream uses them."""
        self._wardrobe.close()
        self._networks.close()
        self._front.close()


def _noted(error: Exception) -> Exception:
    """An error that costs a frame its swap."""
    logger.debug("A frame could not be swapped", exc_info=error)
    return error


def _draw(debug: DebugDrawing, frame: Frame, seen: Seen) -> None:
    """Draws what was done with a frame, which is finished without that as well."""
    try:
        debug.draw(frame, seen)
    except _FRAME_ERRORS as error:
        _noted(error)


def _own_fault(error: Exception | None) -> Exception | None:
    """The error if it is the engine's; nothing is wrong where a frame just shows no face to swap."""
    return None if isinstance(error, (FaceError, FaceUnseenError)) else error


def _place(worn: Worn, target: Face, picture: Picture, settings: Settings) -> Warp:
    """The crop of a face where its swapper wants it, with a side of 1."""
    place = (settings.coverage, settings.align_x, settings.align_y)
    if worn.template is not None:
        return templates.placed(worn.template, target.landmarks, 1, *place)
    if worn.kind is FaceKind.DFM:
        return warp_at(target, 1, (picture.width, picture.height), place_of(settings))
    return warp_for(target.landmarks, 1, *place)


def _cover_others(frame: Frame, begun: Begun) -> None:
    """Covers who is not to be swapped, and where somebody is lost who is."""
    if covers_other_faces(begun.settings):
        for face in begun.found.others:
            cover_region(frame, face.landmarks)
        for box in begun.found.unclear:
            cover_region(frame, box)
    if begun.cuts and begun.settings.cover is not Cover.ORIGINAL:
        for face in begun.found.lost:
            cover_region(frame, _around(face.landmarks))


def _around(landmarks: Points) -> Points:
    """A face's box, larger: the face may have moved since it was seen."""
    if not np.isfinite(landmarks).all():
        return landmarks
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    return np.asarray([low - (high - low) * _MOVED, high + (high - low) * _MOVED], np.float32)


def _cover_bare(frame: Frame, begun: Begun, done: set[int]) -> bool:
    """Covers those of several faces that could not be swapped; False if it is not known where they are."""
    if begun.settings.cover is Cover.ORIGINAL:
        return True
    bare = [face.landmarks for face in begun.found.targets if face.track_id not in done]
    for landmarks in bare:
        cover_region(frame, landmarks)
    return all(_has_size(landmarks) for landmarks in bare)


def _has_size(landmarks: Points) -> bool:
    return bool(np.isfinite(landmarks).all()) and float(np.ptp(landmarks, axis=0).min()) > _NO_SIZE_PX


def _require_numbers(face: Face) -> None:
    """Raises FaceError for a face of which nothing can be computed."""
    if not all((np.abs(values) < _FARTHEST_PX).all() for values in (face.landmarks, face.depth)):
        raise FaceError("A face's points are no numbers, or far away. Expected positions in the picture.")


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
    return [*found.targets, *found.others]
