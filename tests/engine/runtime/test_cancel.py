"""Long work that nobody wants any more ends between two of its steps."""

import threading

import pytest

from obs_faceswap.engine.live.loader import Loader
from obs_faceswap.engine.runtime import cancel
from obs_faceswap.engine.runtime.cancel import CancelledError
from obs_faceswap.engine.settings import Settings


def test_closing_a_loader_gives_its_load_up():
    started, ended = threading.Event(), []

    def load(settings, running):
        started.set()
        try:
            while True:
                cancel.check()
        except CancelledError as error:
            ended.append(error)
            raise

    loader = Loader(load)
    loader.start(Settings(), None)
    assert started.wait(10)
    loader.close()
    assert len(ended) == 1
    assert not loader.is_busy


def test_work_is_given_up_on_its_own_thread_alone():
    asked, found = threading.Event(), []
    asked.set()

    def other():
        cancel.use(asked)
        with pytest.raises(CancelledError, match="no longer wanted"):
            cancel.check()
        found.append(True)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    cancel.check()
    assert found == [True]
