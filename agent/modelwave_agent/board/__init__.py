"""The agent on MicroPython boards."""
