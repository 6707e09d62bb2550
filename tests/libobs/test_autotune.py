"""The panel's Autotune: it runs beside everything else, and sets nothing that nobody asked for."""

import threading

import pytest
from fake_obs import FakeObs

from obs_faceswap.engine.live.autotune import Tuning
from obs_faceswap.engine.live.tuner import Tuner
from obs_faceswap.libobs import abi, properties, source
from obs_faceswap.libobs import filter as filter_module
from obs_faceswap.libobs.filter import python_filter
from obs_faceswap.libobs.panel import ObsPanel
from obs_faceswap.libobs.source import FilterType
from obs_faceswap.libobs.stored import set_defaults
from obs_faceswap.ui import obs_properties

PROPOSED = {"device": "cpu", "detector_device": "same", "reprojection": "yes", "target": "smooth"}


class Obs(FakeObs):
    """Takes over settings as libobs does."""

    def __init__(self):
        super().__init__()
        self.updated = []

    def obs_data_set_string(self, address, key, value):
        self.data[address][key.decode()] = value.decode()

    def obs_source_update(self, made, data):
        self.updated.append((made, data))


@pytest.fixture
def obs(monkeypatch):
    made = Obs()
    monkeypatch.setattr(source, "obs", lambda: made)
    monkeypatch.setattr(properties, "obs", lambda: made)
    monkeypatch.setattr(source, "TYPE", FilterType())
    monkeypatch.setattr(filter_module.CoverThread, "start", lambda self: None)
    return made


@pytest.fixture
def measured(monkeypatch):
    """Lets the measuring end when the test says so."""
    gate = threading.Event()

    def measure(settings, on_progress, is_stopped):
        on_progress("swap on CPU", 0.5)
        assert gate.wait(30)
        return Tuning((), PROPOSED, ("Swap: CPU, 60.0 ms.",))

    monkeypatch.setattr(filter_module, "Tuner", lambda on_change: Tuner(on_change, measure))
    return gate


@pytest.fixture
def made(obs, measured):
    """A filter whose engine does not run, and the address of its source."""
    _, address = obs.add_source(abi.OBS_SOURCE_VIDEO)
    data = obs.settings[address] = obs.add_data(face="Anna")
    set_defaults(obs, data)
    one = python_filter(obs, data, address)
    source.TYPE._filters[one.handle] = one
    yield one, address
    measured.set()
    one.close()


def pressed(obs, handle, key):
    """Presses a button of a panel that is drawn now; the panel."""
    panel = source._get_properties(handle)
    button = obs.find(panel, key)
    assert button["visible"]
    assert button["more"][0](panel, 1, handle) is True
    return panel


def finished(one):
    one._tuner._thread.join(30)


def test_the_status_tells_how_far_it_is_and_what_it_proposes(obs, made, measured):
    one, _ = made
    panel = pressed(obs, one.handle, obs_properties.AUTOTUNE)
    assert "Autotune" in obs.find(panel, "status")["help"]
    measured.set()
    finished(one)
    assert "Autotune proposes Device: cpu" in one.view().status
    assert one.view().has_proposal
    assert not obs.updated


def test_the_proposal_is_set_only_when_its_button_is_pressed(obs, made, measured):
    one, address = made
    measured.set()
    pressed(obs, one.handle, obs_properties.AUTOTUNE)
    finished(one)
    panel = pressed(obs, one.handle, obs_properties.TAKE_OVER)
    assert obs.updated == [(address, None)]
    assert obs.data[obs.settings[address]] == {"face": "Anna", **PROPOSED}
    assert not one.view().has_proposal
    assert "proposes" not in obs.find(panel, "status")["help"]


def test_there_is_no_such_button_before(obs, made):
    one, _ = made
    panel = source._get_properties(one.handle)
    assert not ObsPanel(obs, panel).is_visible(obs_properties.TAKE_OVER)


def test_an_open_panel_is_drawn_anew_as_it_goes_on(obs, made, measured):
    one, address = made
    pressed(obs, one.handle, obs_properties.AUTOTUNE)
    measured.set()
    finished(one)
    one.look_after()
    assert obs.updated_properties == [address]


def test_a_type_s_own_panel_measures_nothing(obs):
    panel = source._get_properties(None)
    assert obs.find(panel, obs_properties.AUTOTUNE)["more"][0](panel, 1, None) is True


def test_a_filter_that_goes_away_takes_it_along(obs, made, measured):
    one, _ = made
    pressed(obs, one.handle, obs_properties.AUTOTUNE)
    one.ask_to_stop()
    measured.set()
    one.stop_engine()
    assert not one._tuner.is_busy
