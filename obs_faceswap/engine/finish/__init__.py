"""From the swapped crop back into the frame: colors, camera, merge, and what stands in for a swap."""
