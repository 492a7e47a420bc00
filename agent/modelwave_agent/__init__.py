"""The agent: the part of modelwave that runs on devices."""
