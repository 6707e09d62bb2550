"""OBS's own figures, read from a stand-in libobs."""

import pytest
from fake_obs import FakeObs

from obs_faceswap.engine.live.meter import Host
from obs_faceswap.libobs import abi
from obs_faceswap.libobs.lag import Lag


@pytest.fixture
def fake():
    obs = FakeObs()
    obs.total_frames, obs.lagged_frames, obs.skipped_frames[obs.video] = 600, 4, 3
    return obs


def run_tasks(fake):
    """What OBS's UI thread does when it comes to it."""
    tasks, fake.tasks = fake.tasks, []
    for _, task, own, _ in tasks:
        task(own)


def test_late_frames_are_read_at_once_and_skipped_ones_on_the_ui_thread(fake):
    lag = Lag(fake)
    assert lag.read() == Host(600, 4, 0.25)
    assert [(kind, wait) for kind, _, _, wait in fake.tasks] == [(abi.OBS_TASK_UI, False)]
    assert "obs_get_video" not in fake.calls
    run_tasks(fake)
    assert lag.read() == Host(600, 4 + 3, 0.25)


def test_a_busy_ui_thread_is_asked_once(fake):
    lag = Lag(fake)
    for _ in range(5):
        lag.read()
    assert len(fake.tasks) == 1
    run_tasks(fake)
    lag.read()
    assert len(fake.tasks) == 1


def test_an_obs_without_video_is_read_too(fake):
    """While the user changes video settings there is none."""
    fake.video, fake.interval_ns = None, 0
    lag = Lag(fake)
    lag.read()
    run_tasks(fake)
    assert lag.read() == Host(600, 4, 0.0)
