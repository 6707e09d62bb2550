"""The worker loads beside a running engine, and tries again what may get well."""

import threading
import time

import pytest
from stream_engine import StreamEngine, work
from worker_stage import ANNA, BERT, Loads, loaded, offered, result_of, settle

from obs_faceswap.engine.errors import FaceError, ModelMissingError
from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live import recovery
from obs_faceswap.engine.live.loader import Loader, face_name, needs
from obs_faceswap.engine.live.worker import State
from obs_faceswap.engine.settings import Settings


def test_another_face_is_loaded_while_the_old_one_goes_on():
    first, second = StreamEngine(1), StreamEngine(2)
    made, loads = loaded(first, second)
    loads.gate.clear()
    made.set_settings(BERT)
    offered(made._exchange)
    assert work(made)
    assert result_of(made._exchange) == {11}
    assert "Anna" in made.status().text
    loads.gate.set()
    settle(made)
    offered(made._exchange)
    work(made)
    assert result_of(made._exchange) == {12}
    assert loads.asked == [("Anna", None), ("Bert", first)]
    assert second.adopted == [first]
    assert first.closed
    assert not second.closed
    assert "Bert" in made.status().text


def test_other_settings_act_on_the_next_frame_without_a_load():
    engine = StreamEngine()
    made, loads = loaded(engine)
    made.set_settings(Settings(face="Anna", opacity=0.5))
    offered(made._exchange)
    work(made)
    assert engine.settings[0].opacity == 0.5
    assert len(loads.asked) == 1


@pytest.mark.parametrize(
    ("change", "asks"),
    [
        ({"face": "Bert"}, True),
        ({"device": "cpu"}, True),
        ({"detector_device": "cpu"}, True),
        ({"landmarks_device": "cpu"}, True),
        ({"occlusion_device": "cpu"}, True),
        ({"recognizer_device": "cpu"}, True),
        ({"enhancer_device": "cpu"}, True),
        ({"occlusion": "off"}, True),
        ({"occlusion": "network", "occlusion_network": "xseg"}, True),
        ({"region_skin": "off"}, False),
        ({"face_file": "other.png"}, False),  # while a face of the list is worn
        ({"smoothing": 10.0}, False),
    ],
)
def test_what_a_load_depends_on(change, asks):
    assert (needs(Settings(**{"face": "Anna"} | change)) != needs(ANNA)) == asks


def test_a_file_counts_where_no_face_is_chosen():
    assert needs(Settings(face_file="a.png")) != needs(Settings(face_file="b.png"))
    assert face_name(Settings(face_file="/home/me/Carl.dfm")) == "Carl"


def test_a_bad_face_at_first_is_said_and_nothing_is_promised():
    made, _ = loaded(FaceError("There is no face “Anna”."))
    offered(made._exchange)
    assert not work(made)
    assert made.status().state is State.FAILED
    assert made.status().line() == "There is no face “Anna”."
    assert made._exchange.words[ex.BUDGET_NS] == 0


def test_a_bad_second_face_is_said_and_the_first_goes_on():
    made, _ = loaded(StreamEngine(), FaceError("There is no face “Bert”."))
    made.set_settings(BERT)
    settle(made)
    offered(made._exchange)
    assert work(made)
    assert made.status().state is State.RUNNING
    assert made.status().problem == "There is no face “Bert”."
    assert "Anna" in made.status().line()
    assert "There is no face “Bert”." in made.status().line()


def test_going_back_to_the_face_that_runs_takes_the_problem_away():
    made, loads = loaded(StreamEngine(), FaceError("There is no face “Bert”."))
    made.set_settings(BERT)
    settle(made)
    made.set_settings(ANNA)
    settle(made)
    assert made.status().problem == ""
    assert made.status().state is State.RUNNING
    assert len(loads.asked) == 2


def test_a_failed_load_is_tried_again_later(monkeypatch):
    engine = StreamEngine()
    made, loads = loaded(ModelMissingError("The file is missing."), engine)
    settle(made)
    assert len(loads.asked) == 1
    monkeypatch.setattr(made._retries, "_at_s", time.monotonic() - 1)
    settle(made)
    assert made.status().state is State.RUNNING


def test_a_bad_face_is_tried_a_few_times_only():
    made, loads = loaded(FaceError("No face in the picture."))
    for _ in range(20):
        if made._retries._at_s is not None:
            made._retries._at_s = time.monotonic() - 1
        settle(made)
    assert len(loads.asked) == 1 + len(recovery._RETRY_S)


def test_asked_to_it_tries_again_at_once():
    made, loads = loaded(FaceError("No face in the picture."), StreamEngine())
    made._retries.drop()
    made.retry()
    settle(made)
    assert made.status().state is State.RUNNING
    made.retry()
    settle(made)
    assert len(loads.asked) == 2


def test_a_missing_package_is_named_and_not_tried_again():
    made, _ = loaded(ModuleNotFoundError("No module named 'numpy'", name="numpy"))
    assert "Missing in the Python that OBS uses: numpy." in made.status().line()
    assert "install" in made.status().line()
    assert made._retries._at_s is None


def test_one_thread_does_all_loads_and_ends():
    threads = []
    made = Loader(lambda settings, running: threads.append(threading.current_thread()) or StreamEngine())
    for _ in range(3):
        made.start(ANNA, None)
        while not made.is_done:
            time.sleep(0.0005)
        assert made.take() is not None
        assert made.take() is None
    assert len(threads) == 3
    assert len(set(threads)) == 1
    made.close()
    assert not threads[0].is_alive()


def test_the_loader_is_told_which_engine_runs_and_drops_what_nobody_takes():
    engine = StreamEngine()
    made = Loader(Loads(engine))
    made.start(ANNA, None)
    made.close()
    assert engine.closed
    assert not made.is_busy
