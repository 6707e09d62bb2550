"""Gates and owner threads: how many networks run at once, and where."""

import threading

import pytest

from obs_faceswap.engine.errors import ProviderError
from obs_faceswap.engine.runtime import providers
from obs_faceswap.engine.runtime.runners import CallerRunner, Gate, OwnedRunner, Owners, OwnerThread


def most_at_once(runner, count, is_long):
    """How many of `count` pieces of work are inside the runner when no more come in."""
    inside, stay, lock, most = 0, threading.Event(), threading.Lock(), []

    def work():
        nonlocal inside
        with lock:
            inside += 1
            most.append(inside)
        stay.wait(0.2)
        with lock:
            inside -= 1

    threads = [threading.Thread(target=runner.call, args=(work, is_long)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(most)


@pytest.mark.parametrize(
    ("budget", "threads", "most"), [(1, 1, 1), (2, 1, 2), (4, 2, 2), (5, 2, 2), (1, 4, 1)]
)
def test_a_gate_bounds_the_threads_of_all_that_is_inside(budget, threads, most):
    assert most_at_once(CallerRunner(threads, Gate(budget), Gate(budget)), 4, is_long=True) == most


def test_short_work_does_not_wait_for_long_work():
    runner = CallerRunner(1, Gate(1), Gate(1))
    done = []
    runner.call(lambda: runner.call(lambda: done.append(1), is_long=False), is_long=True)
    assert done == [1]


def test_a_gate_opens_again_after_an_error():
    runner = CallerRunner(1, Gate(1), Gate(1))
    with pytest.raises(ZeroDivisionError):
        runner.call(lambda: 1 / 0, is_long=True)
    assert runner.call(lambda: 7, is_long=True) == 7


def test_an_owner_gives_results_and_errors_back():
    owner = OwnerThread("owner")
    assert owner.call(lambda: threading.current_thread().name) == "owner"
    with pytest.raises(ZeroDivisionError):
        owner.call(lambda: 1 / 0)
    owner.close()


def test_work_for_an_owner_that_ended_is_refused():
    owner = OwnerThread("owner")
    owner.close()
    with pytest.raises(ProviderError, match="closed"):
        owner.call(lambda: 7)


def test_directml_holds_the_one_lock_and_other_cards_none():
    owners = Owners()
    held = []
    for device in ("directml", "directml:1", "cuda"):
        runner = OwnedRunner(device, owners)
        held.append(runner.call(providers.run_lock("directml").locked, is_long=True))
        runner.close()
    assert held == [True, True, False]
    assert owners.count == 0
