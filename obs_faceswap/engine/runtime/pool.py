"""The networks in use, each loaded once for all who use it, and faces' networks a while longer.

A network that was taken to be kept stays when its last user leaves, so that going back to a face worn a
moment ago takes no load. What was left longest ago goes first when those that nobody uses are larger
together than the budget; and with the last network in use all of them go.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeAlias, TypeVar

from obs_faceswap.engine.runtime import providers

_KEPT_BYTES = 1_500_000_000  # of files on the processor: two of the largest public models
_KEPT_ON_CARDS_BYTES = 750_000_000  # on graphics cards, whose memory a game needs

Key: TypeAlias = tuple[str, int, int, str, int]  # file, when it was written, bytes, device, threads


class Loaded(Protocol):
    """A network on one device."""

    def close(self) -> None:
        """Frees it."""
        ...


T = TypeVar("T", bound=Loaded)


@dataclass(frozen=True, slots=True)
class Use(Generic[T]):
    """One user's hold on a loaded network."""

    loaded: T
    end: Callable[[], None]


@dataclass(slots=True, eq=False)
class _Place(Generic[T]):
    """Where the users of one network meet."""

    key: Key
    users: int = 0
    is_kept: bool = False  # when nobody uses it
    loading: threading.Lock = field(default_factory=threading.Lock)
    loaded: T | None = None


class Pool(Generic[T]):
    """All of them, by all that tells one from another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Key, _Place[T]] = {}  # those that nobody uses in the order they were left

    def take(self, path: Path, device: str, threads: int, load: Callable[[], T], keep: bool) -> Use[T]:
        """The network that is there already, or a new one; whoever asks while it loads waits for it."""
        file, stat = path.resolve(), path.stat()
        key = str(file), stat.st_mtime_ns, stat.st_size, device, providers.threads_of(device, threads)
        with self._lock:
            place = self._places.setdefault(key, _Place(key))
            place.users += 1
            place.is_kept |= keep
        try:
            with place.loading:
                place.loaded = place.loaded or load()
        except BaseException:
            self._leave(place)
            raise
        return Use(place.loaded, lambda: self._leave(place))

    def forget(self, is_bad: Callable[[Key, T | None], bool]) -> None:
        """Gives nobody new the networks of which that is true; their users close them in time."""
        with self._lock:
            bad = [place for place in self._places.values() if is_bad(place.key, place.loaded)]
            for place in bad:
                del self._places[place.key]
        _close([place for place in bad if not place.users])

    def _leave(self, place: _Place[T]) -> None:
        with self._lock:
            place.users -= 1
            gone = [] if place.users else self._left(place)
        _close(gone)

    def _left(self, place: _Place[T]) -> list[_Place[T]]:
        """What to free now that nobody uses a network any more."""
        is_known = self._places.get(place.key) is place
        if is_known:
            del self._places[place.key]
        if is_known and place.is_kept and place.loaded is not None:
            self._places[place.key] = place
            return self._beyond_budget()
        return [place, *self._beyond_budget()]

    def _beyond_budget(self) -> list[_Place[T]]:
        """Takes out what is too much, or everything when nothing is in use."""
        kept = [place for place in self._places.values() if not place.users]
        in_use = len(kept) < len(self._places)
        left = {True: _KEPT_BYTES if in_use else 0, False: _KEPT_ON_CARDS_BYTES if in_use else 0}
        gone = []
        for place in reversed(kept):
            is_processor = providers.family(place.key[3]) == providers.CPU
            left[is_processor] -= place.key[2]
            if left[is_processor] < 0:
                del self._places[place.key]
                gone.append(place)
        return gone


def _close(places: list[_Place[T]]) -> None:
    for place in places:
        if place.loaded is not None:
            place.loaded.close()
