"""Simulated devices on a real broker, with which an operator sizes a broker and a service before
devices depend on them."""
