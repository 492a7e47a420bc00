"""A simulator that leads a whole fleet through random histories of trouble (`make heal`).

The controller's code and the agents' core are the real ones. Time, broker, file server, programs
and the operator are simulated:

    loop.py        an event loop whose time jumps to the next timer
    broker.py      an MQTT broker in memory, and its clients' ports
    fleet.py       the fleet's keys, and signed releases, good ones and bad ones
    devices.py     a device: the agent's core on simulated ports
    controller.py  a database, and the services on it
    person.py      an operator, who reads the status, and does what it says
    world.py       all of them together, and what must hold at each moment
    faults.py      what may happen, a row for each
    known.py       histories of trouble that was met before
    many.py        plays histories in several processes
    histories.py   makes histories, plays them, and shrinks one that fails
    command.py     the command line of `make heal`
"""
