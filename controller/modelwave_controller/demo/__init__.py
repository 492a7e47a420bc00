"""The parts of `modelwave demo`, which runs a whole fleet on this machine."""
