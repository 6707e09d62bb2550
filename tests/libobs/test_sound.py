"""Sync offsets on a stand-in libobs: they follow the delay, and the user's own value always comes back."""

import json
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest
from fake_obs import FakeObs

from obs_faceswap.engine.live import exchange as ex
from obs_faceswap.engine.live.exchange import Exchange
from obs_faceswap.libobs import abi
from obs_faceswap.libobs.sound import Sound

MS = 1_000_000
CAMERA = abi.OBS_SOURCE_VIDEO | abi.OBS_SOURCE_ASYNC
MEDIA = abi.ASYNC_WITH_SOUND
SOUND_ONLY = abi.OBS_SOURCE_AUDIO


class SoundObs(FakeObs):
    """A libobs with sync offsets, names, references and a queue of tasks of the UI thread."""

    def __init__(self):
        super().__init__()
        self.offsets, self.settings_of = {}, {}
        self.gone, self.removed = set(), set()  # destroyed; removed by the user, still in his undo
        self.decoupled, self.unbuffered = set(), set()
        self.references, self.weak = Counter(), {}
        self.tasks, self.updated = [], []
        self.history = []  # of offsets set: (source, offset, the records written at that moment)
        self.clock_ns = 10**15

    def add_sound(self, name, flags=SOUND_ONLY, offset_ms=0):
        source = next(self.addresses)
        self.flags[source], self.names[source], self.offsets[source] = flags, name, offset_ms * MS
        return source

    def add_filter(self, parent=None, **settings):
        """A filter; by default on a camera."""
        made = next(self.addresses)
        self.parents[made] = self.add_sound("Cam", CAMERA) if parent is None else parent
        self.enabled[made] = True
        self.settings_of[made] = self.add_data(**settings)
        return made

    def stored(self, made):
        return self.data[self.settings_of[made]]

    def obs_queue_task(self, kind, task, own, wait):
        assert (kind, wait) == (abi.OBS_TASK_UI, False)
        self.tasks.append(task)

    def os_gettime_ns(self):
        return self.clock_ns

    def obs_get_source_by_name(self, name):
        found = [s for s, own in self.names.items() if own == name.decode() and s not in self.gone]
        self.references.update(found[:1])
        return found[0] if found else None

    def obs_source_release(self, source):
        self.references[source] -= 1

    def obs_source_get_weak_source(self, source):
        weak = next(self.addresses)
        self.weak[weak] = source
        return weak

    def obs_weak_source_get_source(self, weak):
        source = self.weak[weak]
        if source in self.gone:
            return None
        self.references[source] += 1
        return source

    def obs_weak_source_release(self, weak):
        del self.weak[weak]

    def obs_source_removed(self, source):
        return source in self.removed

    def obs_source_get_sync_offset(self, source):
        return self.offsets[source]

    def obs_source_set_sync_offset(self, source, offset):
        assert self.references[source] > 0
        self.offsets[source] = offset
        written = [json.loads(data.get("sound_records") or "{}") for data in self.data.values()]
        self.history.append((source, offset, [known for known in written if known]))

    def obs_source_async_decoupled(self, source):
        return source in self.decoupled

    def obs_source_async_unbuffered(self, source):
        return source in self.unbuffered

    def obs_source_get_settings(self, made):
        self.references[self.settings_of[made]] += 1
        return self.settings_of[made]

    def obs_data_release(self, data):
        self.references[data] -= 1

    def obs_data_set_string(self, data, key, value):
        self.data[data][key.decode()] = value.decode()

    def obs_source_update(self, made, settings):
        self.updated.append(made)


class Studio:
    """One OBS with its filters; `look` is the UI thread."""

    def __init__(self):
        self.obs = SoundObs()
        self.sound = Sound(lambda: self.obs)
        self.sound.start()
        self.exchanges = {}

    def filter(self, delay_ms=100, parent=None, seen=True, **settings):
        made = self.obs.add_filter(parent, **settings)
        self.exchanges[made] = Exchange()
        self.delay(made, delay_ms)
        self.exchanges[made].words[ex.SHOWING] = seen
        self.sound.add(made, self.exchanges[made])
        return made

    def delay(self, made, delay_ms):
        self.exchanges[made].words[ex.SHIFT_NS] = delay_ms * MS

    def look(self, times=3):
        for _ in range(times):
            self.sound.look()

    def offset_ms(self, source):
        return self.obs.offsets[source] / MS

    def reload(self):
        """The script stops and starts; filters stay."""
        self.sound.stop()
        self.sound.start()

    def crash(self):
        """OBS dies after it saved, and starts again with what it saved."""
        self.sound._stop.set()
        self.sound = Sound(lambda: self.obs)
        self.obs.weak.clear()
        self.obs.references.clear()
        self.sound.start()
        for made, exchange in self.exchanges.items():
            exchange.words[ex.SHIFT_NS] = 0
            self.sound.add(made, exchange)


@pytest.fixture
def studio():
    made = Studio()
    yield made
    made.sound.stop()
    assert not [what for what, count in made.obs.references.items() if count], "references leak"
    assert not made.obs.weak


@pytest.fixture(params=[0, 40, -30])
def mic(request, studio):
    """An audio source with the user's own offset."""
    return studio.obs.add_sound("Mic", offset_ms=request.param), request.param


def test_the_offset_follows_the_delay(studio, mic):
    source, own = mic
    made = studio.filter(sync_audio="Mic")
    for delay_ms in (100, 133, 67, 500):
        studio.delay(made, delay_ms)
        studio.look()
        assert studio.offset_ms(source) == own + delay_ms


def test_without_a_chosen_sound_nothing_is_touched(studio, mic):
    studio.filter()
    studio.look()
    assert studio.obs.history == []


def test_the_users_value_is_written_down_before_anything_is_changed(studio, mic):
    _, own = mic
    made = studio.filter(sync_audio="Mic")
    studio.look()
    studio.delay(made, 200)
    studio.look()
    assert studio.obs.history
    for _, offset, records in studio.obs.history:
        assert records == [{"Mic": [own * MS, offset]}]


def test_an_offset_of_zero_is_left_in_two_steps(studio):
    """libobs leaves out a change of an offset that was 0; see source_output_audio_data."""
    studio.obs.add_sound("Mic")
    studio.filter(sync_audio="Mic")
    studio.look()
    assert [offset for _, offset, _ in studio.obs.history] == [1, 100 * MS]


def test_small_changes_of_the_delay_leave_the_sound_in_peace(studio, mic):
    made = studio.filter(sync_audio="Mic")
    studio.look()
    before = len(studio.obs.history)
    for delay_ms in (101, 97, 104, 108):
        studio.delay(made, delay_ms)
        studio.look()
    assert len(studio.obs.history) == before


def switched_off(studio, made):
    studio.obs.enabled[made] = False
    studio.look(1)


def removed(studio, made):
    studio.obs.parents[made] = None
    studio.look(1)


def destroyed(studio, made):
    studio.sound.remove(made)


def unloaded(studio, made):
    studio.sound.stop()


def another_chosen(studio, made):
    studio.obs.add_sound("Other")
    studio.obs.stored(made)["sync_audio"] = "Other"
    studio.look(1)


def none_chosen(studio, made):
    studio.obs.stored(made)["sync_audio"] = ""
    studio.look(1)


def delay_switched_off(studio, made):
    studio.delay(made, 0)
    studio.look(1)


def settings_reset(studio, made):
    studio.obs.stored(made).clear()
    studio.look(1)


ENDS = [
    switched_off,
    removed,
    destroyed,
    unloaded,
    another_chosen,
    none_chosen,
    delay_switched_off,
    settings_reset,
]


@pytest.mark.parametrize("end", ENDS)
def test_the_users_value_comes_back(studio, mic, end):
    source, own = mic
    made = studio.filter(sync_audio="Mic")
    studio.look()
    assert studio.offset_ms(source) == own + 100
    end(studio, made)
    assert studio.offset_ms(source) == own
    if end is not destroyed:  # its settings go with it
        assert "Mic" not in (studio.obs.stored(made).get("sound_records") or "")


@pytest.mark.parametrize("end", ENDS)
def test_the_users_change_while_it_is_held_is_his_new_value(studio, mic, end):
    source, own = mic
    made = studio.filter(sync_audio="Mic")
    studio.look()
    studio.obs.offsets[source] += 25 * MS  # in OBS's audio properties
    if end is not unloaded:
        studio.look(1)
        assert studio.offset_ms(source) == own + 125
    end(studio, made)
    assert studio.offset_ms(source) == own + 25


def test_after_a_reload_it_is_held_again(studio, mic):
    source, own = mic
    studio.filter(sync_audio="Mic")
    studio.look()
    studio.reload()
    assert studio.offset_ms(source) == own
    studio.look()
    assert studio.offset_ms(source) == own + 100


@pytest.mark.parametrize("looks", [0, 1, 2, 3])
def test_after_a_crash_at_any_moment_it_is_the_users_again(studio, mic, looks):
    source, own = mic
    made = studio.filter(sync_audio="Mic")
    studio.look(looks)
    studio.crash()
    studio.look(1)
    assert studio.offset_ms(source) == own
    assert not studio.obs.stored(made).get("sound_records")


def test_after_a_crash_a_value_that_is_not_ours_is_left(studio, mic):
    source, _ = mic
    studio.filter(sync_audio="Mic")
    studio.look()
    studio.crash()
    studio.obs.offsets[source] = 7 * MS
    studio.look(1)
    assert studio.offset_ms(source) == 7


def test_after_a_crash_the_next_delay_starts_from_the_users_value(studio, mic):
    source, own = mic
    made = studio.filter(sync_audio="Mic")
    studio.look()
    studio.crash()
    studio.delay(made, 300)
    studio.look()
    assert studio.offset_ms(source) == own + 300
    switched_off(studio, made)
    assert studio.offset_ms(source) == own


@pytest.mark.parametrize(
    "records", ["nonsense", "[1]", '{"Mic": 3}', '{"Mic": [1, 2, 3]}', '{"Mic": ["a", 2]}']
)
def test_records_edited_by_hand_do_no_harm(studio, mic, records, caplog):
    source, own = mic
    studio.filter(sync_audio="Mic", sound_records=records)
    studio.look()
    assert studio.offset_ms(source) == own + 100
    assert "is ignored" in caplog.text


# --- two filters ---


def test_two_filters_do_not_add_up(studio, mic):
    source, own = mic
    first, second = studio.filter(100, sync_audio="Mic"), studio.filter(250, sync_audio="Mic")
    studio.look()
    assert studio.offset_ms(source) == own + 250  # the longest delay of those that are seen
    studio.delay(first, 400)
    studio.look()
    assert studio.offset_ms(source) == own + 400
    switched_off(studio, first)
    studio.look()
    assert studio.offset_ms(source) == own + 250
    switched_off(studio, second)
    assert studio.offset_ms(source) == own


def test_the_filter_that_is_seen_counts(studio, mic):
    source, own = mic
    first, second = studio.filter(100, sync_audio="Mic"), studio.filter(900, sync_audio="Mic", seen=False)
    studio.look()
    assert studio.offset_ms(source) == own + 100
    studio.exchanges[first].words[ex.SHOWING] = 0
    studio.look()
    assert studio.offset_ms(source) == own + 100  # nobody sees either: nothing changes
    studio.exchanges[second].words[ex.SHOWING] = 1
    studio.look()
    assert studio.offset_ms(source) == own + 900


@pytest.mark.parametrize("end", [switched_off, removed, destroyed, none_chosen])
def test_one_filter_ends_and_the_other_keeps_the_sound(studio, mic, end):
    source, own = mic
    first, second = studio.filter(100, sync_audio="Mic"), studio.filter(250, sync_audio="Mic")
    studio.look()
    end(studio, second)
    studio.look()
    assert studio.offset_ms(source) == own + 100
    end(studio, first)
    assert studio.offset_ms(source) == own


def test_a_sound_that_another_filter_moves_does_not_jump_when_one_ends(studio, mic):
    source, own = mic
    first, _ = studio.filter(250, sync_audio="Mic"), studio.filter(250, sync_audio="Mic")
    studio.look()
    destroyed(studio, first)
    assert studio.offset_ms(source) == own + 250


def test_a_filter_that_chose_another_sound_keeps_no_record_of_the_old_one(studio, mic):
    first, second = studio.filter(100, sync_audio="Mic"), studio.filter(100, sync_audio="Mic")
    studio.look()
    none_chosen(studio, first)
    assert not studio.obs.stored(first)["sound_records"]
    assert studio.obs.stored(second)["sound_records"]


def test_a_crash_with_two_filters(studio, mic):
    source, own = mic
    studio.filter(100, sync_audio="Mic"), studio.filter(250, sync_audio="Mic")
    studio.look()
    studio.crash()
    studio.look(1)
    assert studio.offset_ms(source) == own


def test_a_copied_filter_brings_records_that_are_no_longer_true(studio, mic):
    source, own = mic
    made = studio.filter(sync_audio="Mic")
    studio.look()
    copied = dict(studio.obs.stored(made))
    destroyed(studio, made)
    other = studio.filter(200, **copied)
    studio.look()
    assert studio.offset_ms(source) == own + 200
    switched_off(studio, other)
    assert studio.offset_ms(source) == own


# --- the audio source's own fate ---


def test_a_renamed_sound_stays_chosen(studio, mic):
    source, own = mic
    made = studio.filter(sync_audio="Mic")
    studio.look()
    studio.obs.names[source] = "Microphone"
    studio.look()
    assert studio.obs.stored(made)["sync_audio"] == "Microphone"
    assert studio.obs.updated == [made]
    assert json.loads(studio.obs.stored(made)["sound_records"]).keys() == {"Microphone"}
    assert studio.offset_ms(source) == own + 100
    switched_off(studio, made)
    assert studio.offset_ms(source) == own


def test_a_removed_sound_that_comes_back_has_the_users_value(studio, mic):
    source, own = mic
    made = studio.filter(sync_audio="Mic")
    studio.look()
    studio.obs.removed.add(source)
    studio.look()
    studio.obs.gone.add(source)
    studio.look()
    # The user undoes it: OBS makes it anew as it was when it was removed.
    again = studio.obs.add_sound("Mic", offset_ms=own + 100)
    studio.look()
    assert studio.offset_ms(again) == own + 100
    switched_off(studio, made)
    assert studio.offset_ms(again) == own


def test_a_sound_that_does_not_exist_is_waited_for(studio):
    studio.filter(sync_audio="Mic")
    studio.look()
    assert studio.obs.history == []
    source = studio.obs.add_sound("Mic", offset_ms=10)
    studio.look()
    assert studio.offset_ms(source) == 110


def test_all_sounds_gone_at_the_end(studio, mic):
    source, _ = mic
    studio.filter(sync_audio="Mic")
    studio.look()
    studio.obs.gone.add(source)
    studio.sound.stop()


# --- what libobs delays by itself ---


def own_sound(studio, offset_ms=0, **settings):
    media = studio.obs.add_sound("Clip", MEDIA, offset_ms)
    return media, studio.filter(100, media, **settings)


def test_a_sources_own_sound_gets_nothing_although_it_is_chosen(studio):
    media, _ = own_sound(studio, 40, sync_audio="Clip")
    studio.look(6)
    assert studio.offset_ms(media) == 40


@pytest.mark.parametrize("own", [0, 40])
def test_libobs_is_made_to_place_the_own_sound_anew(studio, own):
    _, made = own_sound(studio, own)
    studio.look(4)
    once = [own * MS + 1, own * MS]
    assert [offset for _, offset, _ in studio.obs.history] == once
    studio.delay(made, 150)
    studio.look(4)
    assert [offset for _, offset, _ in studio.obs.history] == 2 * once
    switched_off(studio, made)
    studio.look(4)
    assert [offset for _, offset, _ in studio.obs.history] == 3 * once
    assert not studio.obs.stored(made).get("sound_records")


def test_a_crash_while_the_own_sound_is_placed(studio):
    media, _ = own_sound(studio, 40)
    studio.look(1)
    assert studio.obs.offsets[media] == 40 * MS + 1
    studio.crash()
    studio.look(1)
    assert studio.obs.offsets[media] == 40 * MS


@pytest.mark.parametrize(("decoupled", "unbuffered", "part"), [(1, 1, 100), (1, 0, 0), (0, 1, 0)])
def test_sound_that_libobs_leaves_alone_is_moved(studio, decoupled, unbuffered, part):
    media, _ = own_sound(studio, 40, sync_audio="Clip")
    studio.obs.decoupled |= {media} if decoupled else set()
    studio.obs.unbuffered |= {media} if unbuffered else set()
    studio.look(4)
    assert studio.offset_ms(media) == 40 + part


@pytest.mark.parametrize(("stamp_ns", "part"), [(10**15 - 5 * MS, 100), (5 * MS, 0)])
def test_sound_stamped_with_obs_own_clock_is_not_moved_by_libobs(studio, stamp_ns, part):
    media, made = own_sound(studio, 40, sync_audio="Clip")
    exchange = studio.exchanges[made]
    exchange.slots = SimpleNamespace(metas=[SimpleNamespace(timestamp_ns=stamp_ns)])
    exchange.words[ex.INPUT_NEWEST] = 1
    studio.look(4)
    assert studio.offset_ms(media) == 40 + part


def test_another_cameras_sound_gets_only_what_is_missing(studio):
    media, _ = own_sound(studio)
    studio.filter(300, sync_audio="Clip")
    studio.look(5)
    assert studio.offset_ms(media) == 200


def test_a_drawn_source_is_no_stream(studio):
    window = studio.obs.add_sound("Game", abi.OBS_SOURCE_VIDEO | abi.OBS_SOURCE_AUDIO, 10)
    studio.filter(100, window, sync_audio="Game")
    studio.look()
    assert studio.offset_ms(window) == 110


# --- the threads ---


def test_a_filter_that_is_made_during_a_look_is_seen_by_the_next(studio, mic, monkeypatch):
    source, own = mic
    studio.filter(sync_audio="Mic")
    settings_of = studio.obs.obs_source_get_settings
    made = []

    def at_the_first_read(address):
        if not made:
            made.append(None)
            made.append(studio.filter(700, sync_audio="Mic"))
        return settings_of(address)

    monkeypatch.setattr(studio.obs, "obs_source_get_settings", at_the_first_read)
    studio.look(4)
    assert studio.offset_ms(source) == own + 700


def test_its_thread_asks_the_ui_thread_and_never_twice_at_once(studio):
    studio.filter()
    deadline = time.monotonic() + 20
    while not studio.obs.tasks and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.6)
    assert len(studio.obs.tasks) == 1


def test_a_look_that_comes_after_the_end_does_nothing(studio, mic):
    source, own = mic
    studio.filter(sync_audio="Mic")
    studio.look()
    studio.sound.stop()
    before = threading.active_count()
    studio.look()
    assert studio.offset_ms(source) == own
    assert threading.active_count() == before
    studio.sound.stop()
