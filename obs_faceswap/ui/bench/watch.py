"""Sees what networks a pipeline runs, and runs them again."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from obs_faceswap.engine.runtime.session import Array, Session


@dataclass(slots=True)
class NetworkWatch:
    """While it is entered, notes every call of a network in this process.

    Attributes:
        inside_s: seconds spent in networks since the last `take`.
    """

    inside_s: float = 0.0
    _calls: list[tuple[Session, dict[str, Array]]] = field(default_factory=list)
    _run: Callable[[Session, dict[str, Array]], list[Array]] = Session.run

    def __enter__(self) -> "NetworkWatch":
        own, watch = self._run, self

        def run(session: Session, feeds: dict[str, Array]) -> list[Array]:
            started = time.perf_counter()
            outputs = own(session, feeds)
            watch.inside_s += time.perf_counter() - started
            watch._calls.append((session, feeds))
            return outputs

        Session.run = run  # type: ignore[method-assign, assignment]  # for all sessions
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Session.run = self._run  # type: ignore[method-assign, assignment]

    def take(self) -> "Calls":
        """The calls since the last time, and the time spent in them."""
        taken = Calls(self._run, self._calls, self.inside_s)
        self._calls, self.inside_s = [], 0.0
        return taken


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of networks in their order, with their inputs."""

    run: Callable[..., Any]
    calls: list[tuple[Session, dict[str, Array]]]
    inside_s: float

    def again(self) -> float:
        """Runs all of them back to back; seconds."""
        started = time.perf_counter()
        for session, feeds in self.calls:
            self.run(session, feeds)
        return time.perf_counter() - started
