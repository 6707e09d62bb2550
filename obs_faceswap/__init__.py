"""Live face swap as a video filter inside OBS Studio."""

__version__ = "0.1.0"
