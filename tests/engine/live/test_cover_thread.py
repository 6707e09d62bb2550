"""The cover thread covers when it is asked to, and lives on."""

from worker_stage import offered

from obs_faceswap.engine.live.cover_thread import CoverThread
from obs_faceswap.engine.live.exchange import Exchange, now_ns


def test_the_cover_thread_covers_only_when_asked():
    exchange = Exchange()
    thread = CoverThread(exchange)
    slots, asked_ns = offered(exchange, 50), now_ns()
    assert not thread.step()
    exchange.choose(slots, asked_ns)
    assert thread.step()
    assert not thread.step()
    exchange.chosen()
    choice = exchange.choose(slots, asked_ns)
    assert choice in slots.cover_range
    assert set(slots.plane_views(choice)[0]) == {50}


def test_the_cover_thread_leaves_drawn_sources_to_the_gpu():
    exchange = Exchange(makes_covers=False)
    slots = offered(exchange)
    exchange.choose(slots, now_ns())
    assert not CoverThread(exchange).step()


def test_the_cover_thread_ends():
    thread = CoverThread(Exchange())
    thread.start()
    thread.close()
    thread.close()
    assert not thread._thread.is_alive()


def test_a_failing_cover_thread_goes_on(monkeypatch, caplog):
    exchange = Exchange()
    thread = CoverThread(exchange)
    calls = []

    def fail():
        calls.append(1)
        if len(calls) > 1:
            thread._stop.set()
        raise RuntimeError("broken")

    monkeypatch.setattr("obs_faceswap.engine.live.cover_thread._AFTER_ERROR_S", 0.0)
    monkeypatch.setattr(thread, "step", fail)
    thread.start()
    thread._thread.join()
    assert len(calls) == 2
    assert "broken" in caplog.text
