"""Measures how good the swaps of a clip are; docs/quality.md says what each figure means."""
