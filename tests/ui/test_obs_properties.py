"""The panel shows every setting in its group, and only what means something for the chosen face."""

from pathlib import Path

import pytest
import tiny_networks

from obs_faceswap.engine import faces
from obs_faceswap.engine.find import people
from obs_faceswap.engine.settings import OPTIONS, Settings
from obs_faceswap.ui import obs_properties
from obs_faceswap.ui.obs_properties import Actions, Severity, View, build, show_what_matters

DEVICES = (("auto", "Automatic"), ("cpu", "CPU"))


class Recorder:
    """A panel that keeps what it is told."""

    def __init__(self, root=None, key=""):
        self.root = root or self
        self.key = key
        if root is None:
            self.controls, self.groups, self.helps, self.hidden, self.changed = {}, [], {}, set(), {}

    def group(self, key, label):
        self.root.groups.append(label)
        return Recorder(self.root, label)

    def _add(self, key, *what):
        assert key not in self.root.controls
        self.root.controls[key] = (self.key, *what)

    def number(self, key, *what):
        self._add(key, "number", *what)

    def choice(self, key, *what):
        self._add(key, "choice", *what)

    def path(self, key, *what):
        self._add(key, "path", *what)

    def text(self, key, *what):
        self._add(key, "text", *what)

    def info(self, key, *what):
        self._add(key, "info", *what)

    def button(self, key, *what):
        self._add(key, "button", *what)

    def help(self, key, message):
        self.root.helps[key] = message

    def on_change(self, key, changed):
        self.root.changed[key] = changed

    def is_visible(self, key):
        return key not in self.root.hidden

    def set_visible(self, key, visible):
        self.root.hidden.discard(key)
        if not visible:
            self.root.hidden.add(key)


BUTTONS = {
    "refresh": "refresh", "autotune": "autotune", "take_over": "take over", "neutral": "neutral",
    "enroll": "enroll",
}  # fmt: skip


def built(settings=None, **more):
    panel = Recorder()
    view = View(settings or Settings(), "All is well.", Severity.NORMAL, DEVICES, **more)
    build(panel, view, Actions("refresh", "changed", "autotune", "take over", "neutral", "enroll"))
    return panel


@pytest.fixture
def installed(home):
    folder = home / "data" / "faces"
    folder.mkdir(parents=True)
    for name in ("Anna.png", "bert.dfm"):
        (folder / name).write_bytes(b"x")
    return folder


def test_every_setting_is_there_once_in_its_group_with_its_help(home):
    panel = built()
    assert set(panel.controls) == {option.key for option in OPTIONS} | set(BUTTONS) | {"status"}
    for option in OPTIONS:
        assert panel.controls[option.key][0] == option.group
        assert panel.helps[option.key] == option.help
    assert panel.groups == list(dict.fromkeys(option.group for option in OPTIONS))


def test_autotune_is_a_button_and_its_proposal_another_while_there_is_one(home):
    assert BUTTONS.items() <= {key: control[-1] for key, control in built().controls.items()}.items()
    assert "take_over" in built().hidden
    assert "take_over" not in built(has_proposal=True).hidden


def test_the_status_comes_first(home):
    panel = built()
    assert list(panel.controls)[:2] == ["status", "refresh"]
    assert panel.controls["status"] == ("", "info", "Status", "All is well.", Severity.NORMAL)


def choices(panel, key):
    return panel.controls[key][3]


def test_installed_faces_are_listed_and_a_file_can_be_chosen(installed):
    assert choices(built(), "face") == (("", "From a file …"), ("Anna", "Anna"), ("bert", "bert"))


def test_a_face_that_vanished_stays_chosen(installed):
    assert choices(built(Settings(face="Carl")), "face")[-1] == ("Carl", "Carl (not found)")


def test_devices_and_one_that_is_gone(home):
    assert choices(built(), "device") == DEVICES
    assert choices(built(Settings(device="cuda:1")), "device")[-1] == ("cuda:1", "cuda:1 (not found)")


@pytest.mark.parametrize("key", ["detector_device", "landmarks_device", "occlusion_device"])
def test_a_stages_device_is_the_same_or_one_of_its_own(home, key):
    assert choices(built(), key) == (("same", "Same as Device"), *DEVICES)
    assert choices(built(Settings(**{key: "cuda:1"})), key)[-1] == ("cuda:1", "cuda:1 (not found)")


def test_sounds_are_listed_after_none_and_one_that_is_gone_stays(home):
    sounds = (("Mic", "Mic"), ("Desktop", "Desktop"))
    assert choices(built(audio_sources=sounds), "sync_audio") == (("", "None"), *sounds)
    gone = choices(built(Settings(sync_audio="Old"), audio_sources=sounds), "sync_audio")
    assert gone[-1] == ("Old", "Old (not found)")


def test_the_milliseconds_are_shown_for_a_fixed_delay_alone(home):
    panel = built()
    assert "delay_ms" in panel.hidden
    assert show_what_matters(panel, Settings(delay="fixed"), False)
    assert "delay_ms" not in panel.hidden


def test_the_file_picker_takes_what_can_be_a_face(home):
    kinds = built().controls["face_file"][3]
    assert all(f"*{ending}" in kinds for ending in faces.PICTURES + faces.MODELS)


@pytest.mark.parametrize(
    ("face", "has_morph", "hidden"),
    [
        ("", False, {"morph", "delay_ms"}),
        ("Anna", True, {"morph", "face_file", "delay_ms"}),
        ("bert", False, {"morph", "face_file", "delay_ms"}),
        ("bert", True, {"face_file", "delay_ms"}),
        ("nobody", True, {"morph", "face_file", "delay_ms"}),
    ],
)
def test_only_what_means_something_is_shown(installed, face, has_morph, hidden):
    expected = hidden | _of_other_kinds(face) | {"take_over"}  # nothing is proposed
    panel = built(Settings(face=face), has_morph=has_morph)
    assert panel.hidden == expected
    other = built()
    show_what_matters(other, Settings(face=face), has_morph)
    assert other.hidden == expected


def _of_other_kinds(face):
    """Settings that the declaration keeps for photo faces or for models alone."""
    wanted = {"bert": "dfm"}.get(face, "photo")
    others = {"photo", "dfm", "swapper", "animator", "occluder", "parser", "enhancer"} - {wanted}
    others |= {"all_faces", "known_faces"}  # one face is swapped
    hidden = {option.key for option in OPTIONS if option.shown in others} | {"neutral", "enroll"}
    return hidden | {f"group_{label}" for label in {"Model"} if wanted != "dfm"}


def test_a_group_with_nothing_in_it_is_hidden(installed):
    panel = built(Settings(face="Anna"))
    assert "group_Model" in panel.hidden
    assert "group_Mask" not in panel.hidden
    assert show_what_matters(panel, Settings(face="bert"), False)
    assert "group_Model" not in panel.hidden


@pytest.fixture
def networks(home):
    """One network of each role."""
    folder = home / "data" / "networks"
    folder.mkdir(parents=True)
    contents = {
        "ghost_1": tiny_networks.one_photo(256), "lia": tiny_networks.animator(64),
        "arcface": tiny_networks.recognizer(), "crossface_ghost": tiny_networks.converter(),
        "xseg": tiny_networks.xseg(), "bisenet": tiny_networks.parser(),
        "gfpgan": tiny_networks.enhancer(256),
    }  # fmt: skip
    for name, content in contents.items():
        (folder / f"{name}.onnx").write_bytes(content)


def test_networks_that_a_face_is_worn_through_are_listed(networks):
    listed = (("", "Built in"), ("ghost_1", "ghost_1"), ("lia", "lia"))
    assert choices(built(), "network") == listed
    gone = choices(built(Settings(network="old")), "network")
    assert gone == (*listed, ("old", "old (not found)"))


@pytest.mark.parametrize(
    ("network", "shown"), [("ghost_1", {"pixel_boost"}), ("lia", {"relative_power"}), ("arcface", set())]
)
def test_what_acts_on_a_network_is_shown_with_it(installed, networks, network, shown):
    panel = built(Settings(face="Anna"))
    both = {"pixel_boost", "relative_power"}
    assert both <= panel.hidden
    assert show_what_matters(panel, Settings(face="Anna", network=network), False) is bool(shown)
    assert both - panel.hidden == shown
    assert ("neutral" in panel.hidden) is (network != "lia")
    show_what_matters(panel, Settings(face="bert", network=network), False)
    assert both | {"network"} <= panel.hidden


def test_enhancers_are_listed_and_what_acts_on_them_is_shown_with_one(networks):
    panel = built()
    assert choices(panel, "enhancer") == (("", "None"), ("gfpgan", "gfpgan"))
    both = {"enhancer_blend", "enhancer_weight"}
    assert both <= panel.hidden
    assert show_what_matters(panel, Settings(enhancer="gfpgan"), False)
    assert not both & panel.hidden
    assert "enhancer" in panel.changed


def test_networks_for_what_is_in_front_are_listed(networks):
    listed = (("", "None"), ("bisenet", "bisenet"), ("xseg", "xseg"))
    assert choices(built(), "occlusion_network") == listed


@pytest.mark.parametrize(
    ("who", "shown"), [("chosen", "one_face"), ("all", "all_faces"), ("known", "known_faces")]
)
def test_the_rows_of_people_are_shown_where_each_has_a_face(home, who, shown):
    panel = built()
    show_what_matters(panel, Settings(who=who), False)
    for option in OPTIONS:
        if option.shown in {"one_face", "all_faces", "known_faces"}:
            assert (option.key not in panel.hidden) is (option.shown == shown)
    assert ("enroll" not in panel.hidden) is (who == "known")
    assert "who" in panel.changed


def test_enrolled_people_are_listed_and_one_that_is_gone_stays(installed):
    people.enroll("Anna", "a network", [1.0, 0.0])
    panel = built(Settings(person_1="Ben", face_2="bert"))
    assert choices(panel, "person_1") == (
        ("", "Nobody"), ("*", "Whoever is next"), ("Anna", "Anna"), ("Ben", "Ben (not found)"),
    )  # fmt: skip
    assert choices(panel, "face_2") == (("", "The face chosen above"), ("Anna", "Anna"), ("bert", "bert"))


@pytest.mark.parametrize(
    ("key", "content", "nothing"),
    [
        ("detector", tiny_networks.yunet(), "Automatic"),
        ("landmarker", tiny_networks.mesh(), "Automatic"),
        ("recognizer", tiny_networks.recognizer(128), "Automatic (the network, where one is installed)"),
    ],
)
def test_networks_that_find_faces_are_listed_where_they_belong(networks, home, key, content, nothing):
    (home / "data" / "networks" / "mine.onnx").write_bytes(content)
    panel = built()
    assert choices(panel, key)[0] == ("", nothing)
    assert ("mine", "mine") in choices(panel, key)
    assert [other for other in ("network", "detector", "landmarker", "recognizer")
            if ("mine", "mine") in choices(panel, other)] == [key]  # fmt: skip


def test_a_parsers_regions_are_shown_with_it(networks):
    regions = {option.key for option in OPTIONS if option.shown == "parser"}
    assert len(regions) == 7
    panel = built(Settings(occlusion="network", occlusion_network="xseg"))
    assert "occlusion_network" not in panel.hidden
    assert regions <= panel.hidden
    assert show_what_matters(panel, Settings(occlusion="network", occlusion_network="bisenet"), False)
    assert not regions & panel.hidden
    assert show_what_matters(panel, Settings(occlusion="hands", occlusion_network="bisenet"), False)
    assert regions | {"occlusion_network"} <= panel.hidden


def test_a_change_is_said_once(installed):
    panel = built()
    assert show_what_matters(panel, Settings(face="Anna"), False)
    assert not show_what_matters(panel, Settings(face="Anna"), False)


def test_a_folder_of_faces_that_cannot_be_read_leaves_the_picker(home, monkeypatch):
    def fail():
        raise faces.FaceError("no")

    monkeypatch.setattr(obs_properties.faces, "installed", fail)
    assert choices(built(), "face") == (("", "From a file …"),)


def test_a_file_s_kind_counts_too(home, tmp_path):
    model = Path(tmp_path / "x.dfm")
    model.write_bytes(b"x")
    panel = built(Settings(face_file=str(model)), has_morph=True)
    assert "morph" not in panel.hidden
