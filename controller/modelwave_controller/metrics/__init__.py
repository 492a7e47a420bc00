"""What the service says of itself to those who watch it: /metrics for Prometheus, and /readyz.

exposition.py   the text of a scrape, from all that follows
process.py      figures of this process
fleet.py        figures of the database: devices, outbox, repairs
rollouts.py     figures of rollouts and their gates
census.py       what no counter of the database has, counted a part at a scrape
waiting.py      how long messages have waited for the broker
readiness.py    whether the process does its work
handlers.py     the paths, for aiohttp

Only a process that runs the service imports it. What a scrape costs does not grow with the fleet,
and no label has a device or a free text; where labels come from devices, the number of series is
bounded (series.py).
"""
