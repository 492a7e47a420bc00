"""Builds the agent for boards from its sources: `.mpy` files and the lists to install them."""
