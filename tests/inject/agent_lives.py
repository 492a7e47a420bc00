"""Forks lives of the real `modelwave-agent` (lives.py), whose pauses are short, and whose golden
sets are judged by a small shell script, which reads the model: Python and TFLite would take half a
second each time."""

import asyncio

import modelwave_agent.delta
import modelwave_agent.download
import modelwave_agent.driver
import modelwave_agent.intake
import modelwave_agent.patch
import modelwave_agent.retries
import modelwave_agent.shadow
import modelwave_agent.trial  # noqa: F401  (all that an update imports when it begins)
from modelwave_agent.host import assembly, daemon, proving
from modelwave_agent.host.clock import HostClock
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_shared import checkout, documents
from tests import signing
from tests.inject.lives import fork_lives

HURRY = 50  # seconds of the agent in a second
# $2 is the file of the model. A read that fails is no verdict.
SCRIPT = """
read -r word < "$2" || exit 1
case $word in
  GOOD) echo '{"healthy": true, "reason": ""}' ;;
  BAD) echo '{"healthy": false, "reason": "proof: a bad model"}' ;;
  *) exit 1 ;;
esac
"""


class HurriedClock(HostClock):
    def now(self) -> float:
        return super().now() * HURRY

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / HURRY)

    async def wait(self, event: asyncio.Event, seconds: float) -> bool:
        return await super().wait(event, seconds / HURRY)


def main() -> None:
    proving.PROVE = ("/bin/sh", "-c", SCRIPT, "prove")
    assembly.HostClock = HurriedClock  # type: ignore[misc,attr-defined]
    registry.installed(RuntimeSettings())  # imports what there is
    checkout.commit()  # git is asked once
    documents.open_first_root(signing.root_envelope())  # imports what verifies
    fork_lives(lambda arguments: daemon.run(arguments))


if __name__ == "__main__":
    main()
