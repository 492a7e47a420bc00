"""Boards that have no agent: the gateway runs the agent's core for each of them."""
