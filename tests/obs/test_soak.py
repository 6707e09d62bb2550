"""Half a minute of what `tests/soak/soak.py` does for as long as one likes."""

import json

from soak.soak import soak

SECONDS = 30.0


def test_changing_everything_at_random(tmp_path):
    told = soak(SECONDS, seed=3, folder=tmp_path)
    print(json.dumps(told))
    assert told["problems"] == []
    assert told["switched_off"] > 0
