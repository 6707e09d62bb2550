"""The page that compares DeepFaceLive's settings with ours says what the settings' declaration says."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from obs_faceswap.engine.settings import OPTIONS, Kind, option

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/deepfacelive.md").read_text(encoding="utf-8")
DEFECTS = (ROOT / "tests/engine/test_deepfacelive_defects.py").read_text(encoding="utf-8")

# DeepFaceLive's modules and what each lets the user set (apps/DeepFaceLive/backend).
THEIRS = {
    "FileSource and CameraSource": "input_type input_paths target_width fps is_realtime is_autorewind "
    "frame_index driver device_idx resolution rotation flip_horizontal",
    "FaceDetector": "detector_type device fixed_window_size threshold max_faces sort_by temporal_smoothing "
    "detected_faces",
    "FaceMarker": "marker_type device marker_coverage temporal_smoothing",
    "FaceAligner": "align_mode face_coverage resolution exclude_moving_parts head_mode freeze_z_rotation "
    "x_offset y_offset",
    "FaceAnimator": "device animatable animator_face_id relative_power update_animatables "
    "reset_reference_pose",
    "FaceSwapInsight": "device face animator_face_id adjust_c adjust_x adjust_y",
    "FaceSwapDFM": "device model swap_all_faces face_id morph_factor presharpen_amount pre_gamma_red "
    "pre_gamma_green pre_gamma_blue post_gamma_red post_gamma_green post_gamma_blue two_pass",
    "FrameAdjuster": "median_blur_per degrade_bicubic_per",
    "FaceMerger": "device face_x_offset face_y_offset face_scale face_mask_source face_mask_celeb "
    "face_mask_lmrks face_mask_erode face_mask_blur color_transfer interpolation color_compression "
    "face_opacity",
    "StreamOutput": "source_type aligned_face_id target_delay avg_fps show_hide_window save_sequence_path "
    "save_fill_frame_gap is_streaming stream_addr stream_port",
    "The program": "--userdata-dir --no-cuda",
}
VERDICTS = ("Same", "Better: ", "Left to OBS: ", "Left out: ")
DECLARED = [declared for declared in OPTIONS if declared.deepfacelive]


@dataclass(frozen=True)
class Row:
    """One line of the comparison."""

    module: str
    name: str  # its cell
    values: str
    default: str
    here: str
    verdict: str

    @property
    def names(self):
        return [*in_backticks(self.name), self.name]

    @property
    def keys(self):
        return in_backticks(self.here)


def in_backticks(text):
    return re.findall(r"`([^`]+)`", text)


def rows():
    comparison = PAGE.partition("## Setting by setting")[2].partition("\n## ")[0]
    for section in comparison.split("\n### ")[1:]:
        module, _, table = section.partition("\n")
        lines = [line for line in table.splitlines() if line.startswith("| ")][2:]
        for line in lines:
            yield Row(module, *(cell.strip() for cell in line.strip("|").split("|")))


ROWS = list(rows())
SAME = [(row, key) for row in ROWS if row.verdict.startswith("Same") for key in row.keys]


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", text)]


def key_of(declared):
    return declared.key


@pytest.mark.parametrize("module", THEIRS)
def test_each_of_its_settings_has_a_row(module):
    named = [name for row in ROWS if row.module == module for name in row.names]
    assert set(THEIRS[module].split()) <= set(named)


def test_every_row_says_what_became_of_a_setting():
    for row in ROWS:
        assert row.verdict.startswith(VERDICTS), row
        if row.verdict.startswith("Left out"):
            assert not row.keys, row
    assert len(SAME) > 20


def test_every_key_on_the_page_is_a_setting():
    beyond = PAGE.partition("## What it has no setting for")[2].partition("\n## ")[0]
    keys = [key for row in ROWS for key in row.keys] + in_backticks(beyond)
    assert len(keys) > 60
    for key in keys:
        assert option(key).key == key


@pytest.mark.parametrize("declared", DECLARED, ids=key_of)
def test_what_a_setting_is_declared_to_stand_for_is_on_the_page(declared):
    """As “name default”, as the name of a thing that has no key there, or as “none” and why."""
    if any(row.name == declared.deepfacelive and declared.key in row.keys for row in ROWS):
        return
    name, default = re.fullmatch(r"(?:module )?(\w+)[:,]?(.*)", declared.deepfacelive).groups()
    if name == "none":
        assert f"`{declared.key}`" in PAGE
        return
    default = re.sub(r"\(.*\)", "", default).strip()
    found = [row for row in ROWS if declared.key in row.keys and name in row.names]
    assert found, f"{name} with {declared.key}"
    assert any(default.lower() in row.default.lower() for row in found)


@pytest.mark.parametrize(("row", "key"), SAME, ids=lambda given: getattr(given, "name", given))
def test_the_same_setting_has_the_same_range_and_default(row, key):
    declared = option(key)
    if declared.kind is Kind.NUMBER:
        assert [declared.minimum, declared.maximum] == numbers(row.values)
        assert [declared.default] == numbers(row.default)
    if row.values == "on, off":
        assert declared.default == row.default


def test_the_nine_defects_are_named_with_their_tests():
    tests = re.findall(r"^def (test_\w+)", DEFECTS, re.MULTILINE)
    named = [name for name in in_backticks(PAGE) if name.startswith("test_")]
    assert named == tests
    assert {int(name.split("_")[1]) for name in tests} == set(range(1, 10))
