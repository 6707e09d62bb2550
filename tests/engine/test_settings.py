"""The one declaration of all settings: ranges, texts, stored values, and the page made from it."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obs_faceswap.engine.errors import SettingsError
from obs_faceswap.engine.settings import (
    OPTIONS,
    Cover,
    Kind,
    OtherFaces,
    Settings,
    covers_other_faces,
    from_stored,
    option,
    with_texts,
)
from obs_faceswap.libobs import defaults
from obs_faceswap.ui import settings_table

NUMBERS = [declared for declared in OPTIONS if declared.kind is Kind.NUMBER]
CHOICES = [declared for declared in OPTIONS if declared.kind is Kind.CHOICE]
DOCS = Path(__file__).parents[2] / "docs"


def key_of(declared):
    return declared.key


def test_mask_defaults_are_those_of_deepfacelive_in_percent():
    assert Settings().mask_erode == pytest.approx(100 * 5 / 224, abs=0.05)
    assert Settings().mask_blur == pytest.approx(100 * 25 / 224, abs=0.05)
    assert (option("mask_erode").minimum, option("mask_erode").maximum) == (-50, 50)
    assert (option("mask_blur").minimum, option("mask_blur").maximum) == (0, 100)


def test_the_default_protects():
    assert Settings().cover is Cover.FREEZE_BLUR
    assert covers_other_faces(Settings())


@pytest.mark.parametrize(
    ("other_faces", "cover", "covered"),
    [
        (OtherFaces.AUTO, Cover.FREEZE_BLUR, True),
        (OtherFaces.AUTO, Cover.BLUR, True),
        (OtherFaces.AUTO, Cover.HIDE, True),
        (OtherFaces.AUTO, Cover.ORIGINAL, False),
        (OtherFaces.COVER, Cover.ORIGINAL, True),
        (OtherFaces.LEAVE, Cover.FREEZE_BLUR, False),
    ],
)
def test_which_choices_cover_other_faces(other_faces, cover, covered):
    assert covers_other_faces(Settings(other_faces=other_faces, cover=cover)) is covered


@pytest.mark.parametrize("declared", OPTIONS, ids=key_of)
def test_every_setting_has_words_and_a_usable_default(declared):
    assert declared.label
    assert declared.help.endswith(".")
    assert getattr(Settings(), declared.key) == declared.default


@pytest.mark.parametrize("declared", NUMBERS, ids=key_of)
def test_a_number_is_taken_up_to_its_limits_and_refused_beyond(declared):
    for good in (declared.minimum, declared.maximum):
        assert getattr(with_texts(Settings(), {declared.key: str(good)}), declared.key) == good
    for bad in (declared.minimum - 0.01, declared.maximum + 0.01, float("nan"), float("inf")):
        with pytest.raises(SettingsError, match=declared.key):
            with_texts(Settings(), {declared.key: str(bad)})


@pytest.mark.parametrize("declared", CHOICES, ids=key_of)
def test_a_choice_takes_its_values_only(declared):
    for value, _ in declared.choices:
        assert getattr(with_texts(Settings(), {declared.key: str(value)}), declared.key) is value
    with pytest.raises(SettingsError, match=r"Use one of"):
        with_texts(Settings(), {declared.key: "nonsense"})


def test_an_unknown_setting_is_named_with_the_known_ones():
    with pytest.raises(SettingsError, match=r"no setting “mask_errode”.*mask_erode"):
        with_texts(Settings(), {"mask_errode": "1"})


def test_a_text_is_not_a_number():
    with pytest.raises(SettingsError, match=r"opacity is 'much'\. Expected a number"):
        with_texts(Settings(), {"opacity": "much"})


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        Settings().opacity = 0.5


def test_bad_stored_values_become_defaults_and_are_told():
    settings, complaints = from_stored({"opacity": 7, "mask_blur": 20, "cover": "loud", "from_the_future": 1})
    assert settings == Settings(mask_blur=20)
    assert len(complaints) == 2
    assert all("default" in complaint for complaint in complaints)


stored_values = st.one_of(st.booleans(), st.integers(), st.floats(), st.text(max_size=8))


@given(st.dictionaries(st.sampled_from([declared.key for declared in OPTIONS]), stored_values))
def test_any_stored_collection_gives_valid_settings(stored):
    settings, _ = from_stored(stored)
    for declared in NUMBERS:
        assert declared.minimum <= getattr(settings, declared.key) <= declared.maximum


def test_the_page_lists_every_setting_and_every_value():
    page = settings_table.markdown()
    for declared in OPTIONS:
        assert f"`{declared.key}`" in page
        assert all(f"`{value}`" in page for value, _ in declared.choices if value)


@pytest.mark.parametrize("key", settings_table.DIFFERENCES)
def test_every_listed_difference_from_deepfacelive_is_a_setting(key):
    assert option(key).key == key


def test_the_page_in_docs_is_up_to_date():
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert page == settings_table.markdown(), "Run: obs-faceswap settings --markdown > docs/settings.md"


def test_the_defaults_that_obs_is_told_are_up_to_date():
    text = Path(defaults.__file__).read_text(encoding="utf-8")
    said = "Run: obs-faceswap settings --defaults > obs_faceswap/libobs/defaults.py"
    assert text == settings_table.defaults(), said
    assert {declared.key: declared.default for declared in OPTIONS} == defaults.DEFAULTS
