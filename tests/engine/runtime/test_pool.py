"""Networks that stay loaded a while after their last user, within a budget."""

import pytest

from obs_faceswap.engine.runtime import pool
from obs_faceswap.engine.runtime.pool import Pool


class Network:
    """Notes when it is freed."""

    def __init__(self):
        self.is_closed = False

    def close(self):
        assert not self.is_closed
        self.is_closed = True


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A pool in use, with room for 100 bytes on the processor and 50 on cards; takes networks of a size."""
    monkeypatch.setattr(pool, "_KEPT_BYTES", 100)
    monkeypatch.setattr(pool, "_KEPT_ON_CARDS_BYTES", 50)
    pool_ = Pool()

    def take(name, size=10, device="cpu", keep=True):
        path = tmp_path / name
        if not path.exists():
            path.write_bytes(bytes(size))
        return pool_.take(path, device, 1, Network, keep)

    take.pool = pool_
    take.other = take("other", 1, keep=False)  # what finds faces: as long as that runs, the pool is in use
    return take


def test_going_back_takes_no_load(place):
    first = place("a")
    first.end()
    assert not first.loaded.is_closed
    assert place("a").loaded is first.loaded


def test_what_is_not_to_be_kept_is_freed_at_once(place):
    first = place("a", keep=False)
    first.end()
    assert first.loaded.is_closed
    assert place("a").loaded is not first.loaded


def test_what_was_left_longest_ago_goes_first(place):
    uses = {name: place(name, 40) for name in "abc"}
    for name in "bac":
        uses[name].end()
    assert [name for name, use in uses.items() if use.loaded.is_closed] == ["b"]
    back = place("a")
    back.end()  # newest now
    place("d", 40).end()
    assert uses["c"].loaded.is_closed
    assert not uses["a"].loaded.is_closed


def test_networks_in_use_count_for_nothing_and_are_never_freed(place):
    used = [place(name, 400) for name in "ab"]
    small = place("c", 100)
    small.end()
    assert not any(use.loaded.is_closed for use in (*used, small))


def test_one_that_is_larger_than_the_budget_is_freed(place):
    large = place("a", 101)
    large.end()
    assert large.loaded.is_closed


def test_cards_have_a_budget_of_their_own(place):
    on_card, other = place("a", 50, "cuda"), place("b", 100)
    on_card.end()
    other.end()
    assert [use.loaded.is_closed for use in (on_card, other)] == [False, False]
    place("c", 10, "cuda:1").end()
    assert on_card.loaded.is_closed
    assert not other.loaded.is_closed


def test_with_the_last_network_in_use_all_go(place):
    kept = [place(name) for name in "abc"]
    for use in kept:
        use.end()
    place.other.end()
    assert all(use.loaded.is_closed for use in (*kept, place.other))
    assert place("a").loaded is not kept[0].loaded


def test_the_last_one_is_not_kept(place):
    last = place("a")
    place.other.end()
    last.end()
    assert last.loaded.is_closed


def test_what_is_forgotten_is_freed_or_freed_by_its_last_user(place):
    kept, used = place("a"), place("b")
    kept.end()
    place.pool.forget(lambda key, loaded: loaded in (kept.loaded, used.loaded))
    assert kept.loaded.is_closed
    assert not used.loaded.is_closed
    assert place("b").loaded is not used.loaded
    used.end()
    assert used.loaded.is_closed


def test_several_users_leave_one_after_the_other(place):
    first, second = place("a"), place("a")
    first.end()
    second.end()
    assert not first.loaded.is_closed
    assert place("a").loaded is first.loaded is second.loaded


def test_a_load_that_fails_leaves_nothing(place, tmp_path):
    def fail():
        raise OSError("no")

    (tmp_path / "bad").write_bytes(b"x")
    with pytest.raises(OSError, match="no"):
        place.pool.take(tmp_path / "bad", "cpu", 1, fail, True)
    assert isinstance(place("bad").loaded, Network)
