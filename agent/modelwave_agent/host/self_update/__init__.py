"""How the agent on a host updates itself (docs/decisions/0023-the-agent-updates-itself.md).

launcher   starts the agent of a bank, and the one before if that fails; never updated itself
choice     which agent it starts, as a table
line       what the launcher and the agent tell one another
wheelhouse the file of a release of the agent: a tar of wheels
install    makes the virtual environment of a bank, and asks the agent in it what it is
parts      the ports of the machine (machine.py) for the model `agent`
"""
