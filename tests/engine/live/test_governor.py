"""The governor against simulated machines: what it gives up, and that it never swings."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obs_faceswap.engine.live.governor import Governor, Observation, Plan
from obs_faceswap.engine.settings import Occlusion, OtherFaces, Reprojection, Settings, Target

SMOOTH = Settings(target=Target.SMOOTH)
GAME = Settings(target=Target.GAME)


@dataclass
class Machine:
    """An engine beside OBS: what a plan leads to, with noise.

    Attributes:
        frame_ms: time of a frame without its swap, alone on the machine.
        front_ms: time of a look for what lies before the face, alone on the machine.
        swap_ms: time of a swap of a large face, alone on the machine.
        load: part of the machine that others use, as a function of the time.
        spare: part of the machine from which OBS begins to be late.
        noise: relative spread of all times.
    """

    frame_ms: float = 6.0
    front_ms: float = 0.0
    swap_ms: float = 20.0
    camera_fps: float = 30.0
    load: Callable[[float], float] = lambda _: 0.0
    spare: float = 0.95
    noise: float = 0.05
    seed: int = 1
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)

    def second(self, now_s: float, plan: Plan) -> Observation:
        """One second under a plan."""
        slower = self.dice.gauss(1.0, self.noise) / max(0.1, 1.0 - self.load(now_s))
        finer = min(1.0, (plan.crop_limit_px or 512) / 512)
        front_ms = self.front_ms * slower / plan.front_every
        frame_ms = self.frame_ms * slower * (0.8 + 0.02 / plan.search_every_s) + front_ms
        swap_ms = self.swap_ms * slower * finer**2
        most_fps = self.camera_fps / plan.every
        serial_ms = frame_ms if plan.reproject else frame_ms + swap_ms
        fps = min(most_fps, 1000 / serial_ms)
        swap_fps = min(fps, plan.max_swap_fps or fps, 1000 / swap_ms)
        share = min(1.0, (fps * frame_ms + swap_fps * swap_ms) / 1000 / 2)
        used = share + self.load(now_s) + self.dice.gauss(0, self.noise)
        late = 60 if used > self.spare + 1 else round(60 * max(0.0, used - self.spare))
        return Observation(
            now_s=now_s, camera_fps=self.camera_fps, fps=fps, swap_fps=swap_fps, frame_ms=frame_ms,
            swap_ms=swap_ms, front_ms=front_ms, is_reprojected=plan.reproject, share=share, shown=60,
            late=late, host_load=min(1.0, used),
        )  # fmt: skip


def run(machine: Machine, chosen: Settings, seconds: int) -> list[Plan]:
    """The plan of each second, without its text."""
    governor, plans = Governor(chosen), []
    for second in range(seconds):
        governor.observe(machine.second(float(second), governor.plan))
        plans.append(replace(governor.plan, text=""))
    return plans


def changes(plans: list[Plan]) -> list[int]:
    """The seconds at which the plan changed."""
    return [second for second in range(1, len(plans)) if plans[second] != plans[second - 1]]


def in_any_minute(seconds: list[int]) -> int:
    """The most changes within 60 seconds."""
    return max((sum(first <= other < first + 60 for other in seconds) for first in seconds), default=0)


def test_without_a_target_nothing_changes() -> None:
    assert set(run(Machine(swap_ms=500, load=lambda _: 0.8), Settings(target=Target.OFF), 120)) == {Plan()}


def test_a_fast_machine_keeps_the_best_picture() -> None:
    assert set(run(Machine(), SMOOTH, 300)) == {Plan(search_every_s=0.1)}


def test_a_slow_swap_is_reprojected_soon_and_for_good() -> None:
    plans = run(Machine(swap_ms=70), SMOOTH, 600)
    assert plans[10].reproject
    assert all(plan.reproject for plan in plans[10:])
    assert len(changes(plans)) == 1  # so far behind the camera two steps are taken at once


def test_the_rate_asked_for_is_neither_missed_nor_passed() -> None:
    plans = run(Machine(swap_ms=40), replace(SMOOTH, target_fps=15), 300)
    assert {(plan.every, plan.reproject) for plan in plans[1:]} == {(2, False)}


@pytest.mark.parametrize(
    ("camera_fps", "limit", "every"),
    [(30, 15, 2), (30, 30, 1), (30, 60, 1), (60, 30, 2), (50, 30, 2), (25, 15, 2), (24, 15, 2), (60, 15, 4)],
)
def test_frames_are_left_out_evenly(camera_fps: float, limit: float, every: int) -> None:
    plans = run(Machine(camera_fps=camera_fps, swap_ms=5), replace(SMOOTH, target_fps=limit), 30)
    assert plans[-1].every == every


def test_a_camera_between_two_even_rates_makes_no_swing() -> None:
    governor, dice, seen = Governor(replace(SMOOTH, target_fps=20)), random.Random(3), set()
    for second in range(600):
        rate = 30.0 + dice.gauss(0, 1.5)
        governor.observe(replace(Machine().second(float(second), governor.plan), camera_fps=rate))
        seen.add(governor.plan.every)
    assert len(seen) == 1


def test_game_gives_way_at_once_and_never_asks_for_more() -> None:
    plans = run(Machine(), GAME, 600)
    assert plans[0].low_priority
    assert plans[0].max_swap_fps == 20
    assert all(plan.low_priority and (plan.max_swap_fps or 99) <= 20 for plan in plans)


def test_game_stays_within_its_share() -> None:
    machine = Machine(frame_ms=8, swap_ms=60)
    last = run(machine, GAME, 300)[-1]
    assert machine.second(300.0, last).share < 0.26


@pytest.mark.parametrize("chosen", [SMOOTH, GAME])
def test_a_game_that_starts_is_given_way_to_and_what_was_given_up_comes_back(chosen: Settings) -> None:
    busy = Machine(swap_ms=12, load=lambda now_s: 0.75 if 60 <= now_s < 180 else 0.1, spare=0.9)
    plans = run(busy, chosen, 900)
    assert plans[120] != plans[50]
    assert plans[-1] == plans[50]
    assert in_any_minute(changes(plans)) <= 5


@pytest.mark.parametrize("chosen", [SMOOTH, GAME])
@pytest.mark.parametrize("seed", range(5))
def test_a_load_at_a_threshold_makes_no_swing(chosen: Settings, seed: int) -> None:
    """Whatever rung its threshold is at: an engine and a game that just fit, and do not, at random."""
    for spare in (0.5, 0.6, 0.7, 0.8, 0.9):
        machine = Machine(frame_ms=5, swap_ms=22, load=lambda _: 0.35, spare=spare, noise=0.15, seed=seed)
        plans = run(machine, chosen, 1800)
        moved = changes(plans)
        assert in_any_minute(moved) <= 5
        assert len([second for second in moved if second >= 600]) <= 20  # not one a minute


def test_a_swap_exactly_as_slow_as_the_camera_makes_no_swing() -> None:
    for swap_ms in (24, 26, 27, 27.5, 28, 30):
        moved = changes(run(Machine(swap_ms=swap_ms, noise=0.1), SMOOTH, 1800))
        assert len(moved) <= 4


def test_one_late_second_changes_nothing() -> None:
    """A change of scenes, a program that starts: OBS stumbles, and nobody has to do anything."""
    governor = Governor(SMOOTH)
    for second in range(300):
        seen = Machine().second(float(second), governor.plan)
        governor.observe(replace(seen, late=30 if second % 20 == 10 else 0))
    assert replace(governor.plan, text="") == Plan()


def test_a_program_that_is_late_anyway_is_not_paid_for_with_the_picture() -> None:
    governor, plans = Governor(SMOOTH), []
    for second in range(400):
        governor.observe(replace(Machine().second(float(second), governor.plan), shown=60, late=12))
        plans.append(governor.plan)
    assert plans[60].every == 2  # it tried all of it,
    assert plans[-1].max_swap_fps is None  # saw that it did not help, and goes back


def test_a_game_is_left_alone_even_if_that_does_not_help() -> None:
    governor = Governor(GAME)
    for second in range(900):
        governor.observe(replace(Machine().second(float(second), governor.plan), shown=60, late=12))
    assert governor.plan.every == 2


def test_nothing_is_learned_while_no_face_is_seen() -> None:
    governor = Governor(SMOOTH)
    for second in range(120):
        seen = Machine().second(float(second), governor.plan)
        governor.observe(replace(seen, swap_fps=0.0, swap_ms=0.0, fps=3.0, late=30))
    assert replace(governor.plan, text="") == Plan()


def test_faces_to_be_covered_are_looked_for_often() -> None:
    slow = Machine(frame_ms=20, swap_ms=300, load=lambda _: 0.5)
    assert max(plan.search_every_s for plan in run(slow, SMOOTH, 200)) == pytest.approx(0.2)
    left = replace(SMOOTH, other_faces=OtherFaces.LEAVE)
    assert max(plan.search_every_s for plan in run(slow, left, 200)) == pytest.approx(1.0)


def test_what_lies_before_the_face_is_looked_for_less_often_on_a_slow_machine() -> None:
    slow = Machine(front_ms=18, swap_ms=12)  # 36 of 33 ms, or 27 where every second frame is looked at
    plans = run(slow, SMOOTH, 900)
    assert plans[-1] == Plan(search_every_s=pytest.approx(0.2), front_every=2)
    assert len(changes(plans)) == 1
    without = run(replace(slow, front_ms=0, swap_ms=30), SMOOTH, 900)
    assert {plan.front_every for plan in without} == {1}


@pytest.mark.parametrize("front_ms", [6.0, 12.0, 18.0, 24.0, 40.0])
@pytest.mark.parametrize("chosen", [SMOOTH, GAME])
def test_looking_less_often_makes_no_swing(chosen: Settings, front_ms: float) -> None:
    plans = run(Machine(front_ms=front_ms, swap_ms=15), chosen, 1800)
    assert in_any_minute(changes(plans)) <= 4
    assert len([second for second in changes(plans) if second > 900]) <= 4  # two tries


def test_looking_less_often_is_told_until_something_else_is_kept_in_front() -> None:
    governor = Governor(GAME)
    governor.observe(Machine(front_ms=8).second(0.0, governor.plan))
    assert governor.plan.front_every == 2
    assert "what is in front looked for in one frame of 2" in governor.plan.text
    governor.update(replace(GAME, opacity=0.5))
    assert governor.plan.front_every == 2
    governor.update(replace(GAME, occlusion=Occlusion.OFF))
    assert governor.plan.front_every == 1


@pytest.mark.parametrize("target", [Target.SMOOTH, Target.GAME])
def test_who_wants_no_reprojection_gets_none(target: Target) -> None:
    chosen = Settings(target=target, reprojection=Reprojection.NO)
    plans = run(Machine(swap_ms=70, load=lambda _: 0.5, spare=0.6), chosen, 120)
    assert not any(plan.reproject or plan.max_swap_fps for plan in plans)
    assert plans[-1].every > 1  # the swaps are what costs


def test_the_status_says_what_was_done() -> None:
    governor = Governor(GAME)
    for second in range(30):
        seen = Machine().second(float(second), governor.plan)
        governor.observe(replace(seen, late=1 if second in (3, 9, 20) else 0))
    assert governor.plan.text == (
        "Game target: at most 20 swaps a second, "
        "new faces looked for every 0.2 s, low priority; OBS was late 3 times."
    )
    governor.update(SMOOTH)
    governor.observe(Machine().second(40.0, governor.plan))
    assert governor.plan.text.startswith("Smooth target: nothing gives way; OBS was late")


def test_another_target_starts_over_and_other_settings_do_not() -> None:
    governor = Governor(SMOOTH)
    machine = Machine(swap_ms=70)
    for second in range(20):
        governor.observe(machine.second(float(second), governor.plan))
    governor.update(replace(SMOOTH, opacity=0.5))
    assert governor.plan.reproject
    assert governor.plan.text
    governor.update(replace(SMOOTH, target_fps=10))
    assert not governor.plan.reproject
    governor.update(Settings(target=Target.OFF))
    assert governor.plan == Plan()


_ANY = st.lists(
    st.tuples(
        st.floats(0, 60), st.floats(0, 60), st.floats(0.1, 500), st.floats(0.1, 500), st.floats(0, 1),
        st.integers(0, 60), st.floats(0, 1.5),
    ),
    min_size=30, max_size=120,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(target=st.sampled_from([Target.SMOOTH, Target.GAME]), seen=_ANY, repeats=st.integers(1, 12))
def test_whatever_happens_a_change_is_rare(
    target: Target, seen: list[tuple[float, float, float, float, float, int, float]], repeats: int
) -> None:
    """Any figures, each for some seconds: steps down are few in a minute, steps back fewer."""
    governor, plans = Governor(Settings(target=target)), []
    for second in range(len(seen) * repeats):
        fps, swap_fps, frame_ms, swap_ms, share, late, load = seen[second // repeats]
        front_ms = frame_ms * share
        governor.observe(
            Observation(
                now_s=float(second), camera_fps=30.0, fps=fps, swap_fps=swap_fps, frame_ms=frame_ms,
                swap_ms=swap_ms, front_ms=front_ms, share=share, shown=60, late=late, host_load=load,
            )
        )  # fmt: skip
        plans.append(replace(governor.plan, text=""))
    moved = changes(plans)
    assert in_any_minute(moved) <= 9
    back = [second for second in moved if _is_back(plans[second - 1], plans[second])]
    assert in_any_minute(back) <= 3


def _is_back(before: Plan, after: Plan) -> bool:
    order = [(plan.search_every_s, plan.max_fps or 99, plan.max_swap_fps or 99) for plan in (before, after)]
    worse = [(-a, b, c) for a, b, c in order]
    return worse[1] > worse[0]
