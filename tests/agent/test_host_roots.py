"""A new root of trust over a real broker: the agent takes it while a model serves, and keeps it."""

import pytest

from modelwave_agent.host import HostAgent
from tests import signing
from tests.agent.host_world import Digits
from tests.agent.root_chain import document, topic
from tests.agent.test_host_agent import PICTURE, V2_SCORES, close, run

pytestmark = pytest.mark.slow

V2 = Digits(2, "v2")


def test_new_root_is_taken_while_a_model_serves_and_kept_over_a_restart(tmp_path, caplog):
    caplog.set_level("INFO")

    async def main(made):
        second = signing.root_envelope(document(2, minimum={"digits": 3}))
        with HostAgent.from_config(made.toml()) as agent:
            await made.order(V2)
            await made.outcome()
            await made.operator.publish(topic(2), second, True)
            await made.told("reported", lambda report: report["extra"]["root"] == 2)
            assert close(agent.run("digits", PICTURE), V2_SCORES)
        assert "root 2 is trusted from now on" in caplog.text
        await made.operator.publish(topic(2), b"", True)
        with HostAgent.from_config(made.toml()):
            report = await made.told("reported", lambda report: report["boot"] == 2)
            assert report["extra"]["root"] == 2
            await made.order(V2)
            state = await made.outcome()
            assert (state["outcome"], state["release"]) == ("REJECTED", 2)
            assert state["reason"].startswith("minimum: release 2 is below 3")

    run(tmp_path, main)
