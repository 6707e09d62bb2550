"""ONNX Runtime must not report to anybody what runs here."""

import os
import subprocess
import sys


def test_onnxruntime_leaves_no_identity_behind(tmp_path):
    """With its reports on, importing it writes an identity of the machine below the home folder."""
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("ORT_", "XDG_"))}
    code = "import obs_faceswap.engine.runtime.session, onnxruntime as o; print(o.get_available_providers())"
    subprocess.run(
        [sys.executable, "-c", code],
        env={**variables, "HOME": str(tmp_path)},
        check=True,
        capture_output=True,
    )
    assert list(tmp_path.rglob("*")) == []
