"""A face's crop: where it lies, what it shows of the frame, and where a swap may be seen in it."""
