"""The benchmark: each section measures one thing and returns its figures, no test asserts one of them."""
