"""`python -m obs_faceswap` is the command `obs-faceswap`."""

from obs_faceswap.ui.cli import main

main()
