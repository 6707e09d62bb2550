"""Low priority: real threads on Linux, the calls that are made on the other systems."""

import ctypes
import os
import sys
import threading
from types import SimpleNamespace

import pytest
import tiny_networks

from obs_faceswap.engine.live import priority
from obs_faceswap.engine.live.priority import Linux, MacOS, Priority, Windows
from obs_faceswap.engine.runtime.session import Session

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="threads have nice values on Linux only")


def nice_of(thread):
    return os.getpriority(os.PRIO_PROCESS, thread)


class EngineThread:
    """A thread that does what it is told, as the worker's does."""

    def __init__(self, name="test"):
        self.todo, self.done, self.answer = threading.Semaphore(0), threading.Semaphore(0), None
        self.thread = threading.Thread(target=self.run, name=name, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.work = None
        self.todo.release()
        self.thread.join()

    def run(self):
        while self.todo.acquire() and self.work is not None:
            self.answer = self.work()
            self.done.release()

    def __call__(self, work):
        self.work = work
        self.todo.release()
        assert self.done.acquire(timeout=10)
        return self.answer


def helper_thread():
    """One like those of ONNX Runtime's pools: of the engine's name, whatever Python calls its own."""
    return EngineThread("face swap helper")


@linux_only
def test_the_engines_threads_give_way_and_the_others_do_not():
    usual = nice_of(os.getpid())
    with EngineThread() as engine, EngineThread() as other:
        made = engine(Priority)
        with engine(helper_thread) as helper:
            for low, more in ((False, 10), (True, 15)):
                engine(lambda low=low: made.set_low(low))
                assert nice_of(engine.thread.native_id) == min(usual + more, 19)
                assert nice_of(helper.thread.native_id) == min(usual + more, 19)
                assert nice_of(other.thread.native_id) == nice_of(threading.get_native_id()) == usual


@linux_only
def test_who_wakes_the_engine_keeps_its_processor():
    with EngineThread() as engine, EngineThread() as other:
        engine(Priority)
        with engine(helper_thread) as helper:
            for thread in (engine, helper):
                assert os.sched_getscheduler(thread.thread.native_id) == os.SCHED_BATCH
            assert os.sched_getscheduler(other.thread.native_id) == os.SCHED_OTHER


@linux_only
def test_helpers_started_later_are_low_too():
    usual = nice_of(os.getpid())
    with EngineThread() as engine:
        engine(lambda: Priority().set_low(True))
        with engine(helper_thread) as helper:
            assert nice_of(helper.thread.native_id) == min(usual + 15, 19)


@linux_only
def test_the_thread_that_covers_the_picture_is_left_as_it_is():
    with EngineThread() as engine, EngineThread() as cover:
        engine(Linux().begin)
        comm = f"/proc/self/task/{cover.thread.native_id}/comm"
        cover(lambda: os.write(os.open(comm, os.O_WRONLY), b"face swap cover"))
        assert engine.thread.native_id in Linux().threads()
        assert cover.thread.native_id not in Linux().threads()


@linux_only
@pytest.mark.parametrize("allowed", [True, False])
def test_coming_back_says_so_where_it_is_not_allowed(monkeypatch, allowed):
    asked = []
    monkeypatch.setattr(priority, "_nice_of_program", lambda: 2)

    def set_priority(which, thread, nice):
        asked.append(nice)
        if nice < max(asked) and not allowed:
            raise PermissionError

    monkeypatch.setattr(os, "setpriority", set_priority)
    with EngineThread() as engine:
        made = engine(Priority)
        engine(lambda: made.set_low(True))
        assert made.notice == ""
        engine(lambda: made.set_low(False))
        assert bool(made.notice) is not allowed
        assert set(asked) == {12, 17}


class Counting:
    """A system that takes down what it is asked for."""

    def __init__(self):
        self.asked = []

    def begin(self):
        self.asked.append("begin")

    def set_low(self, low):
        self.asked.append(low)
        return True


def test_the_system_is_asked_only_for_changes():
    system = Counting()
    made = Priority(system)
    for low in (False, True, True, False, False):
        made.set_low(low)
    assert system.asked == ["begin", True, False]


class Function:
    """A foreign function that answers one value."""

    def __init__(self, answer):
        self.answer, self.calls = answer, []

    def __call__(self, *arguments):
        self.calls.append(arguments)
        return self.answer


@pytest.mark.parametrize("answer", [1, 0])
def test_windows_changes_the_calling_thread(answer):
    kernel32 = SimpleNamespace(GetCurrentThread=Function(-2), SetThreadPriority=Function(answer))
    system = Windows(kernel32)
    assert (system.set_low(True), system.set_low(False)) == (bool(answer), bool(answer))
    assert kernel32.SetThreadPriority.calls == [(-2, -1), (-2, 0)]
    assert kernel32.SetThreadPriority.argtypes == (ctypes.c_void_p, ctypes.c_int)


@pytest.mark.parametrize(("answer", "expected"), [(0, True), (1, False)])
def test_macos_changes_the_calling_threads_class(answer, expected):
    libc = SimpleNamespace(pthread_set_qos_class_self_np=Function(answer))
    system = MacOS(libc)
    assert (system.set_low(True), system.set_low(False)) == (expected, expected)
    assert libc.pthread_set_qos_class_self_np.calls == [(0x11, 0), (0x15, 0)]


@linux_only
def test_this_system_is_linux():
    assert isinstance(priority._this_system(), Linux)


@linux_only
def test_onnx_runtimes_helper_threads_are_found():
    usual = nice_of(os.getpid())
    with EngineThread() as engine:
        made = engine(Priority)
        before = set(Linux().threads())
        session = engine(lambda: Session(tiny_networks.double(), "cpu", threads=3))
        helpers = set(Linux().threads()) - before
        engine(lambda: made.set_low(True))
        assert len(helpers) == 2  # the third is the one that calls
        assert {nice_of(thread) for thread in helpers} == {min(usual + 15, 19)}
        session.close()
