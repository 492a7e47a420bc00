"""Kills the service at every commit and every publish of a judged rollout of 50 devices, and
compares the end with a model (`python -m tests.histories`).

The service is the real one: its lease, loop, ticks, writer, outbox and database. Time, broker,
devices and the operator are simulated, in one process:

    clock.py     simulated time, and what is to happen in it
    broker.py    a broker in memory, and the service's connection to it
    devices.py   devices that install, answer and measure; on their way messages change places
    fleet.py     what every history begins with: a fleet that runs release 1
    courses.py   the rollouts: good, bad, paused, promoted; and what the operator does
    model.py     what must be true at the end, written down by hand
    life.py      a service from its start until it is killed
    world.py     all of them together
    points.py    counts commits and publishes, and forks a history at each
    command.py   the command line
"""
