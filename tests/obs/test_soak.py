"""Half a minute of what `tests/soak/soak.py` does for as long as one likes."""

import json

from soak.soak import problems, soak

SECONDS = 30.0


def test_changing_everything_at_random(tmp_path, leaks_without):
    told = soak(SECONDS, seed=3, folder=tmp_path)
    print(json.dumps(told))
    assert problems(told, leaks_without) == []
    assert told["switched_off"] > 0
