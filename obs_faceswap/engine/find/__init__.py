"""Finding faces and following them; who they are, and who is swapped."""
