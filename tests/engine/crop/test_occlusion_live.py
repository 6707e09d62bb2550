"""What lies before a face, on the way of a frame: the frame's own counts, and no doubt bares the face."""

import numpy as np
import pytest
from fake_engine import (
    FRAME_NS,
    NOBODY,
    SEEN,
    TARGET,
    FakeFinder,
    FakeSwapper,
    frame_of,
    networks_of,
)

from obs_faceswap.engine.crop.align import warp_for
from obs_faceswap.engine.crop.front import Front
from obs_faceswap.engine.crop.occlusion import Visible
from obs_faceswap.engine.errors import ModelError
from obs_faceswap.engine.faces import FaceKind
from obs_faceswap.engine.pipeline import Pipeline
from obs_faceswap.engine.settings import Blending, ColorTransfer, Settings
from obs_faceswap.engine.types import Shown
from obs_faceswap.engine.wear import Worn

PLAIN = Settings(color_transfer=ColorTransfer.NONE)
LEFT, RIGHT = np.s_[110:130, 60:80], np.s_[110:130, 100:120]  # of the target's middle at 90, 120


class FakeOccluder:
    """Says what it was told, one frame after the other, then that all is seen."""

    moves_with_face = False

    def __init__(self, *seen):
        self.seen = list(seen)
        self.asked = []

    def visible(self, picture, faces, timestamp_ns, settings):
        self.asked.append(timestamp_ns)
        seen = self.seen.pop(0) if self.seen else None
        if isinstance(seen, Exception):
            raise seen
        return [seen for _ in faces]


def only(left):
    """A face of which one side of its middle is seen."""
    warp = warp_for(TARGET.landmarks, 64)
    mask = np.zeros((64, 64), np.float32)
    mask[:, :32] = 1
    return Visible(mask if left else 1 - mask, warp)


def engine_of(*found, occluder):
    worn = Worn(FakeSwapper(), FaceKind.PHOTO)
    return Pipeline(networks_of(FakeFinder(*found)), worn, Front(occluder))


def picture(frame):
    return frame.planes[0].reshape(frame.height, frame.width, 3).copy()


def is_swapped(frame, before, where):
    """Whether a part is the stand-in's blue (True), or was left as it was (False)."""
    now = picture(frame)[where]
    if np.array_equal(now, before[where]):
        return False
    assert now.mean(axis=(0, 1)) == pytest.approx((200, 40, 40), abs=10)
    return True


def test_what_lies_before_the_face_is_not_painted_over():
    frame = frame_of()
    before = picture(frame)
    result = engine_of(SEEN, occluder=FakeOccluder(only(left=True))).process(frame, PLAIN)
    assert result.shown is Shown.SWAPPED
    assert result.stages_ms["occlusion"] >= 0
    assert is_swapped(frame, before, LEFT)
    assert not is_swapped(frame, before, RIGHT)


def test_a_frame_with_an_earlier_swap_shows_its_own_hand():
    engine = engine_of(SEEN, occluder=FakeOccluder(only(left=True), only(left=False)))
    first, second = frame_of(0), frame_of(1)
    swap = engine.swap(engine.begin(first, PLAIN))
    before = picture(second)
    engine.finish(second, engine.begin(second, PLAIN), swap)
    assert not is_swapped(second, before, LEFT)
    assert is_swapped(second, before, RIGHT)


def test_a_network_that_fails_costs_the_frame_its_swap():
    frame = frame_of()
    before = picture(frame)
    engine = engine_of(SEEN, occluder=FakeOccluder(ModelError("no numbers")))
    result = engine.process(frame, PLAIN)
    assert result.shown is Shown.COVERED
    assert "no numbers" in result.notice
    assert isinstance(result.fault, ModelError)
    assert np.abs(picture(frame)[LEFT].astype(int) - before[LEFT]).mean() > 5  # covered, not bare


def test_a_mask_that_leaves_the_face_bare_is_not_believed():
    frame = frame_of()
    before = picture(frame)
    nothing = Visible(np.zeros((64, 64), np.float32), warp_for(TARGET.landmarks, 64))
    engine_of(SEEN, occluder=FakeOccluder(nothing)).process(frame, PLAIN)
    assert is_swapped(frame, before, LEFT)
    assert is_swapped(frame, before, RIGHT)


def test_only_frames_with_a_face_are_looked_at():
    occluder = FakeOccluder()
    engine = engine_of(NOBODY, SEEN, NOBODY, occluder=occluder)
    for number in range(3):
        engine.process(frame_of(number), PLAIN)
    assert occluder.asked == [FRAME_NS]


@pytest.mark.parametrize("light", [60, 190])
def test_seamless_blending_takes_the_frames_light(light):
    frame = frame_of()
    frame.planes[0][:] = light
    chosen = Settings(color_transfer=ColorTransfer.NONE, blending=Blending.POISSON)
    engine_of(SEEN, occluder=FakeOccluder()).process(frame, chosen)
    assert np.abs(picture(frame).astype(int) - light).max() < 12
