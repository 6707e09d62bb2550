"""The face-swap engine: numpy, OpenCV and ONNX Runtime; it knows neither OBS nor any user interface.

Importing this package imports nothing else, so that the modules that need only the standard library
(errors, folders, formats, settings, exchange, cover, policy) stay usable without the others' packages.
"""

import os

# From 1.31 on ONNX Runtime reports to its maker over the network unless this is set before its import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
