"""The filter inside OBS: ctypes bindings and what libobs's callbacks do. Standard library only."""
