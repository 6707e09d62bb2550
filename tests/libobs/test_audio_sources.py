"""The list of audio sources, by the native callback and without it."""

import ctypes
import shutil

import pytest
from fake_obs import FakeObs
from native_library import SHIPPED, library

from obs_faceswap.engine.live.native import Library
from obs_faceswap.libobs import abi
from obs_faceswap.libobs.audio_sources import names

SOUND, PICTURE = abi.OBS_SOURCE_AUDIO, abi.OBS_SOURCE_VIDEO
Name = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
Flags = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p)
Collect = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_void_p)


class Sources(FakeObs):
    """A libobs with a list of sources and some of them in the channels of OBS's audio settings."""

    def __init__(self, listed, channels):
        super().__init__()
        self.listed = [ctypes.create_string_buffer(name.encode()) for name, _ in listed]
        self.flags_of = [flags for _, flags in listed]
        self.channels, self.held = channels, 0

    def obs_enum_sources(self, collect, param):
        called = Collect(collect)
        for number in range(len(self.listed)):
            if not called(param, number + 1):
                return

    def obs_get_output_source(self, channel):
        number = self.channels.get(channel)
        self.held += number is not None
        return number

    def obs_source_release(self, source):
        self.held -= 1

    def obs_source_get_name(self, source):
        return self.listed[source - 1].value

    def obs_source_get_output_flags(self, source):
        return self.flags_of[source - 1]


LISTED = [("mic", SOUND), ("Camera", PICTURE), ("Clip", SOUND | PICTURE), ("Ton für dich", SOUND)]


@pytest.fixture
def collect(tmp_path):
    """Makes the native callback's address for a libobs, in a library that nobody else uses."""
    kept = []

    def made(obs):
        own = Library(shutil.copy(library(SHIPPED, tmp_path).path, tmp_path / "own.so"))
        name = Name(lambda source: ctypes.addressof(obs.listed[source - 1]))
        flags = Flags(lambda source: obs.flags_of[source - 1])
        kept.extend((own, name, flags))
        known = {"obs_source_get_name": name, "obs_source_get_output_flags": flags}
        for place, needed in enumerate(own.needed()):
            if needed in known:
                own.bind(place, ctypes.cast(known[needed], ctypes.c_void_p).value)
        return own.address_of("collect")

    return made


def test_every_source_with_sound_is_listed(collect):
    obs = Sources(LISTED, {})
    assert names(obs, collect(obs)) == ["Clip", "mic", "Ton für dich"]


def test_more_names_than_there_is_room_for(collect):
    many = [(f"{number:04}" + "x" * 996, SOUND) for number in range(100)]
    obs = Sources(many, {})
    assert names(obs, collect(obs)) == [name for name, _ in many][:65]


def test_without_the_native_library_those_of_the_audio_settings_are_listed():
    obs = Sources(LISTED, {0: 2, 1: 4, 3: 1, 4: 2})
    assert names(obs, None) == ["mic", "Ton für dich"]
    assert obs.held == 0
