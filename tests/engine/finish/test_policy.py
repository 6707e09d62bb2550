"""The no-face rule: freeze, fade, cover, and back after a few good frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.finish.policy import FADE_S, FREEZE_S, GOOD_FRAMES, Action, NoFacePolicy, Step
from obs_faceswap.engine.settings import Cover

FRAME_S = 0.1
STEPS = {"S": Step.SHOW, "F": Step.FREEZE, "D": Step.FADE, "C": Step.COVER, "O": Step.ORIGINAL}


def run(cover: Cover, swaps: str, frame_s: float = FRAME_S) -> list[Action]:
    """Actions for frames `frame_s` apart; "x" has a swap, "." has none."""
    policy = NoFacePolicy(cover)
    return [policy.step(has == "x", number * frame_s) for number, has in enumerate(swaps)]


def letters(actions: list[Action]) -> str:
    return "".join(letter for action in actions for letter, step in STEPS.items() if step is action.step)


@pytest.mark.parametrize(
    ("cover", "swaps", "expected"),
    [
        (Cover.FREEZE_BLUR, "", ""),
        (Cover.FREEZE_BLUR, "xxx", "SSS"),  # the first swap is shown at once
        (Cover.FREEZE_BLUR, "...", "CCC"),  # nothing was swapped yet, so nothing can be frozen
        (Cover.FREEZE_BLUR, ".xxx", "CCCS"),
        (Cover.FREEZE_BLUR, "x.x.x", "SFSFS"),  # a blink of the detector: back at once
        (Cover.FREEZE_BLUR, "x.....xx", "SFFFFFDC"),  # 0.5 s frozen; two good frames are not yet enough
        (Cover.FREEZE_BLUR, "x........xxxx", "SFFFFFDCCCCSS"),
        (Cover.FREEZE_BLUR, "x.......xx.xxx", "SFFFFFDCCCCCCS"),  # the count starts again
        (Cover.BLUR, "x.xxx", "SCCCS"),
        (Cover.HIDE, "x.xxx", "SCCCS"),
        (Cover.ORIGINAL, "x.xxx", "SOSSS"),
        (Cover.ORIGINAL, "..x", "OOS"),
    ],
)
def test_what_is_shown_for_frames_a_tenth_of_a_second_apart(cover, swaps, expected):
    assert letters(run(cover, swaps)) == expected


def test_the_fade_goes_evenly_from_the_frozen_picture_to_the_cover():
    actions = run(Cover.FREEZE_BLUR, "x" + "." * 80, frame_s=0.01)
    weights = [action.frozen_weight for action in actions if action.step is Step.FADE]
    assert len(weights) == pytest.approx(FADE_S / 0.01, abs=1)
    assert weights == sorted(weights, reverse=True)
    assert weights[0] > 0.9
    assert weights[-1] < 0.1
    assert weights[len(weights) // 2] == pytest.approx(0.5, abs=0.06)


def test_a_long_pause_ends_the_freeze():
    policy = NoFacePolicy(Cover.FREEZE_BLUR)
    assert policy.step(True, 0.0).step is Step.SHOW
    assert policy.step(False, 10.0).step is Step.COVER


def test_a_clock_that_stands_still_or_jumps_back_does_not_freeze_for_ever():
    policy = NoFacePolicy(Cover.FREEZE_BLUR)
    policy.step(True, 100.0)
    steps = [policy.step(False, now_s).step for now_s in [5.0] * 60]
    assert steps[0] is Step.FREEZE
    assert steps[-1] is Step.COVER


def test_the_cover_can_be_changed_while_running():
    policy = NoFacePolicy(Cover.ORIGINAL)
    assert policy.step(False, 0.0).step is Step.ORIGINAL
    policy.cover = Cover.HIDE
    assert policy.step(False, 0.1).step is Step.COVER


frames = st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.4)), min_size=1, max_size=60)


@given(st.sampled_from(Cover), frames)
def test_a_frame_is_raw_only_where_the_user_chose_it_and_swapped_only_with_a_swap(cover, stream):
    policy, now_s = NoFacePolicy(cover), 0.0
    for has_swap, elapsed in stream:
        now_s += elapsed
        action = policy.step(has_swap, now_s)
        assert action.step is not Step.SHOW or has_swap
        assert (action.step is Step.ORIGINAL) <= (cover is Cover.ORIGINAL)
        assert 0.0 <= action.frozen_weight <= 1.0


@given(st.sampled_from(Cover), frames)
def test_the_frozen_picture_is_never_older_than_freeze_and_fade(cover, stream):
    policy, now_s, shown_s = NoFacePolicy(cover), 0.0, float("-inf")
    for has_swap, elapsed in stream:
        now_s += elapsed
        action = policy.step(has_swap, now_s)
        if action.step is Step.SHOW:
            shown_s = now_s
        if action.step is Step.FREEZE:
            assert now_s - shown_s <= FREEZE_S + 1e-6
        if action.step is Step.FADE:
            assert now_s - shown_s <= FREEZE_S + FADE_S + 1e-6


@given(st.sampled_from(Cover), frames)
def test_enough_good_frames_always_bring_the_swap_back(cover, stream):
    policy, now_s = NoFacePolicy(cover), 0.0
    for has_swap, elapsed in stream:
        now_s += elapsed
        policy.step(has_swap, now_s)
    last = [policy.step(True, now_s + 0.03 * (number + 1)) for number in range(GOOD_FRAMES)]
    assert last[-1].step is Step.SHOW
