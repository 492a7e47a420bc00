"""Forks lives of the process that runs a model's golden set (lives.py), with its runtime in
memory."""

import modelwave_agent.host.golden.binary
import modelwave_agent.host.golden.proof  # noqa: F401  (both are imported when a proof begins)
from modelwave_agent.host import prove
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import RuntimeSettings
from tests.inject.lives import fork_lives


def main() -> None:
    registry.installed(RuntimeSettings())
    fork_lives(prove.main)


if __name__ == "__main__":
    main()
