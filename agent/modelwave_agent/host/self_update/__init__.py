"""How the agent on a host updates itself (docs/decisions/0023-the-agent-updates-itself.md).

launcher      starts the agent of a bank, and the one before if that fails; is never updated
choice        which agent it starts, as rules
life          how long it waits for an agent
line          what the launcher and the agent tell one another
itself        the agent's side: its own update, joined with the launcher
own_ports     the ports of the machine (machine.py) for the model `agent`
wheelhouse    the file of a release of the agent: a tar of wheels
environments  the virtual environment of a bank
install       the program that makes one, and asks the agent in it what it is
"""
