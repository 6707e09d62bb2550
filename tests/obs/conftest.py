"""A real OBS for the tests of this folder; they are skipped where there is none."""

import shutil
import sys
from pathlib import Path

import pytest

if sys.platform.startswith("linux") and shutil.which("obs") and shutil.which("Xvfb"):
    import obs_driver
    import obs_stage

    from obs_faceswap.ui.obs_config import Collection
    from obs_faceswap.ui.throwaway_obs import ThrowawayObs
else:
    collect_ignore_glob = ["test_*.py"]

from obs_faceswap.ui import materials

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    """Everything here drives a real OBS, and is run again after a crash that is OBS's own."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.obs)
            item.add_marker(pytest.mark.flaky(reruns=2, only_rerun="WebSocketCrashError"))


@pytest.fixture(autouse=True)
def last_words(monkeypatch):
    """A test that fails shows what its OBS said last."""
    close = ThrowawayObs.close

    def closed(obs):
        print(obs.tail(60))
        close(obs)

    monkeypatch.setattr(ThrowawayObs, "close", closed)


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    return obs_stage.build(tmp_path_factory.mktemp("stage"))


@pytest.fixture(scope="session")
def script(tmp_path_factory):
    """The script as the installer writes it, for this environment."""
    return materials.write_script(tmp_path_factory.mktemp("script"), materials.own_folders())


@pytest.fixture
def report(tmp_path):
    return obs_driver.Report(tmp_path / "report.json")


@pytest.fixture(scope="session")
def leaks_without(stage):
    """The leaks OBS itself reports with the same sources and no script."""
    with ThrowawayObs(Collection([stage.cam(), stage.still()])) as obs:
        assert obs.quit() == 0
        return obs.leaks()


@pytest.fixture(scope="session")
def leaks_without_switching(stage):
    """The same after as many switches of the scene collection as the test makes."""
    alone, other = Collection([stage.cam(), stage.still()]), Collection([stage.cam(name="Plain")])
    with ThrowawayObs(alone, more_collections={obs_driver.OTHER: other}) as obs:
        obs_driver.switch_collections(obs)
        assert obs.quit() == 0
        return obs.leaks()
