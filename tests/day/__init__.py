"""A long day of a fleet, and floods: what a fleet meets in time, with real processes.

python -m tests.day           24 hours, 300 devices, 100 rollouts (__main__.py)
python -m tests.day.floods    one client sends too much (floods.py)

clock.py       one clock for all processes, which is set forward while time only passes
shifted.py     runs a module of the product with that clock
pace.py        decides how far it is set forward
releases.py    the releases, and the truth about each
devices.py     the simulated devices: the agent's core, on a real broker by link.py
real.py        the real agents: processes on CPython, and on MicroPython with board.py
controller.py  the broker and the service, as processes
troubles.py    what happens to all of them
person.py      the operator, who does not know the truth
world.py       all of them together, and what must hold
figures.py     memory and database
flooder.py     the process that floods
honest.py      the devices beside it, and how soon the service has what they say
parts.py       processes, and the memory and time that they take
"""
