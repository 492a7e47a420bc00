"""The part of the agent that runs only on boards with MicroPython."""
