"""Fuzzers of what reads bytes from outside (docs/testing.md, "Inputs that a machine makes up");
targets.py lists them."""
