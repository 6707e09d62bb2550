"""Says what this machine cannot test; tests/obs/conftest.py leaves its tests out for the same reasons."""

import shutil
import sys

import pytest


def test_a_real_obs_can_be_driven():
    if not sys.platform.startswith("linux"):
        pytest.skip("all of tests/obs is left out: only on Linux can OBS run beside the user's own")
    missing = [program for program in ("obs", "Xvfb") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"all of tests/obs is left out: missing {' and '.join(missing)}")
    from obs_faceswap.ui import throwaway_obs

    assert throwaway_obs.find_obs()
