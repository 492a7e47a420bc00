"""What the faults are called by that more than one module knows."""

EXTENDS = "that a write would extend"
