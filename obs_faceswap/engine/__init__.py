"""The face-swap engine: numpy, OpenCV and ONNX Runtime; it knows neither OBS nor any user interface.

Importing this package imports nothing else, so that the modules that need only the standard library
(errors, folders, formats, settings, exchange, cover, policy) stay usable without the others' packages.
"""

import os

# ONNX Runtime 1.31 and later report to their maker over the network unless this is set before they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
