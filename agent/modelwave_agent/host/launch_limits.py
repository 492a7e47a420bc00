"""How long the launcher waits for an agent (self_update/launcher.py), unless agent.toml says
otherwise."""

CONNECT_SECONDS = 300  # for an agent on trial to bring a report back
SILENT_SECONDS = 120  # without a line: it hangs
