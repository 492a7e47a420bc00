"""The agent as a library, with a real broker, real downloads and real models."""

import asyncio
import shutil
import struct
import threading
import time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from modelwave_agent.host import HostAgent, ProofError
from modelwave_agent.host.runtimes.litert import LiteRT
from modelwave_agent.host.settings_reader import ConfigError
from modelwave_shared import checkout, golden, local_time
from modelwave_shared.maintenance import LENGTHS, READS_MAINTENANCE, STARTS
from tests.agent.host_places import Mosquitto, refused_port
from tests.agent.host_world import MODELS, Digits, World, world
from tests.certificates import Authority

pytestmark = pytest.mark.slow

numpy = pytest.importorskip("numpy")

V1, V2, V3 = Digits(1, "v1"), Digits(2, "v2"), Digits(3, "v3")


def records(name):
    """[(input, expected output)] of a golden file of outputs."""
    data = (MODELS / name).read_bytes()
    header = golden.Header(data)
    step = header.input_bytes + header.expected_bytes
    parts = [data[at : at + step] for at in range(golden.HEADER_BYTES, len(data), step)]
    return [(part[: header.input_bytes], part[header.input_bytes :]) for part in parts]


PICTURE, V2_SCORES = records("digits-v2.golden")[0]


def close(output, expected):
    found, wanted = (struct.unpack("10b", scores) for scores in (output, expected))
    return golden.furthest(found, wanted, "b") <= 1


def is_v2(path):
    return Path(path).read_bytes() == (MODELS / "digits-v2.tflite").read_bytes()


def flip_a_bit(path):
    data = bytearray(Path(path).read_bytes())
    data[-1] ^= 1
    Path(path).write_bytes(data)


def run(tmp_path, main):
    """`main(world)` in a world of its own."""

    async def surrounded():
        async with world(tmp_path, broker) as made:
            await main(made)

    with Mosquitto(tmp_path) as broker:
        asyncio.run(surrounded())


def test_order_becomes_the_model_that_the_program_runs(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml()) as agent:
            assert await made.told("presence", lambda told: True) == "online"
            report = await made.told("reported", lambda told: True)
            assert report["agent"] == f"modelwave-agent {checkout.described()}"
            assert agent.live("digits") is None
            with pytest.raises(ProofError, match="no release is installed yet"):
                agent.run("digits", PICTURE)
            await made.order(V2)
            state = await made.outcome()
            assert (state["outcome"], state["release"]) == ("SUCCEEDED", 2)
            live = agent.live("digits")
            assert (live.release, live.version, live.on_trial) == (2, "v2", False)
            assert is_v2(live.path)
            assert close(agent.run("digits", PICTURE), V2_SCORES)
        assert await made.told("presence", lambda told: True) == "offline"

    run(tmp_path, main)


def test_program_takes_the_new_model_over_at_its_next_run_and_confirms_it(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml()) as agent:
            await made.order(V1)
            assert (await made.outcome())["outcome"] == "SUCCEEDED"
            old = agent.run("digits", PICTURE)
            await made.order(V2, inferences=2)
            await made.state(lambda state: state["state"] == "trial")
            assert agent.live("digits").on_trial
            for _ in range(2):
                new = agent.run("digits", PICTURE)
                assert close(new, V2_SCORES)
                assert new != old
            assert (await made.outcome())["outcome"] == "SUCCEEDED"
            assert not agent.live("digits").on_trial

    run(tmp_path, main)


def fails(runtime, data):
    raise ProofError("a node failed to invoke")


def test_inference_that_fails_on_trial_brings_the_old_model_back(tmp_path, monkeypatch):
    async def main(made):
        with HostAgent.from_config(made.toml()) as agent:
            await made.order(V1)
            await made.outcome()
            await made.order(V2, seconds=600)
            await made.state(lambda state: state["state"] == "trial")
            monkeypatch.setattr(LiteRT, "_run", fails)
            with pytest.raises(ProofError, match="a node failed"):
                agent.run("digits", PICTURE)
            state = await made.outcome()
            assert (state["outcome"], state["release"]) == ("ROLLED_BACK", 1)
            assert state["reason"] == "1 of 1 inferences on trial failed: a node failed to invoke"
            assert agent.live("digits").release == 1

    run(tmp_path, main)


def test_program_defers_an_update_until_it_says_that_it_may_go_on(tmp_path):
    moving = threading.Event()
    moving.set()

    def may_update(upcoming):
        return f"moving, not {upcoming.version} now" if moving.is_set() else ""

    async def main(made):
        with HostAgent.from_config(made.toml(), may_update) as agent:
            await made.order(V1)
            state = await made.state(lambda state: state["outcome"] == "DEFERRED")
            assert (state["reason"], state["release"]) == ("moving, not v1 now", 0)
            moving.clear()
            agent.update_now()
            state = await made.state(lambda state: state["outcome"] == "SUCCEEDED")
            assert state["release"] == 1

    run(tmp_path, main)


def test_model_goes_live_only_inside_the_maintenance_windows_of_its_order(tmp_path):
    def window(minutes):
        start = local_time.minute_of_week(time.time() + minutes * 60, ZoneInfo("Asia/Tokyo"))
        return {STARTS: [start], LENGTHS: [60]}

    async def main(made):
        with HostAgent.from_config(made.toml('timezone = "Asia/Tokyo"')) as agent:
            report = await made.told("reported", lambda report: "reads" in report)
            assert report["reads"][READS_MAINTENANCE] == 1
            await made.order(V1, extra=window(minutes=120))
            state = await made.state(lambda state: state["outcome"] == "DEFERRED")
            assert state["reason"].startswith("outside of its maintenance windows; the next one")
            assert agent.live("digits") is None
            await made.order(V1, extra=window(minutes=-30))
            assert (await made.outcome())["outcome"] == "SUCCEEDED"

    run(tmp_path, main)


def test_failure_of_the_old_model_does_not_end_the_new_ones_trial(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml()) as agent:
            await made.order(V1)
            await made.outcome()
            agent.run("digits", PICTURE)
            await made.order(V2, inferences=1)
            await made.state(lambda state: state["state"] == "trial")
            agent.observe("digits", inferences=1, failures=1, release=1)
            agent.observe("digits", inferences=1, failures=1)  # the one that ran last
            agent.run("digits", PICTURE)
            assert (await made.outcome())["outcome"] == "SUCCEEDED"

    run(tmp_path, main)


def test_model_that_fails_its_golden_set_never_serves(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml()) as agent:
            await made.order(V1)
            await made.outcome()
            await made.order(V3)
            state = await made.outcome()
            assert (state["outcome"], state["release"]) == ("ROLLED_BACK", 1)
            assert "labels right" in state["reason"]
            assert agent.live("digits").release == 1

    run(tmp_path, main)


def test_limits_of_the_configuration_are_kept(tmp_path):
    async def main(made):
        config = made.toml()
        with config.open("a") as file:
            file.write("\n[limits]\nflash_bytes = 32768\nram_bytes = 65536\n")
        with HostAgent.from_config(config):
            report = await made.told("reported", lambda report: True)
            assert report["free"] == {"flash": 32768, "ram": 65536}
            await made.order(Digits(4, "v4"))
            state = await made.outcome()
            assert (state["outcome"], state["release"]) == ("REJECTED", 0)
            assert "flash: " in state["reason"]

    run(tmp_path, main)


def test_observations_of_each_release_are_sent(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml("metrics_seconds = 0.5")) as agent:
            await made.order(V2)
            await made.outcome()
            for right in (1, 0, 1):
                agent.run("digits", PICTURE)
                agent.observe("digits", labelled=1, correct=right)
            sums = {"inferences": 0, "failures": 0, "labelled": 0, "correct": 0}

            def complete(document):
                assert (document["model"], document["release"]) == ("digits", 2)
                for key in sums:
                    sums[key] += document[key]
                return sums["labelled"] == 3

            await made.told("metrics", complete)
            assert sums == {"inferences": 3, "failures": 0, "labelled": 3, "correct": 2}

    run(tmp_path, main)


def test_model_that_rotted_is_never_handed_out(tmp_path):
    async def main(made):
        config = made.toml()
        with HostAgent.from_config(config) as agent:
            await made.order(V2)
            await made.outcome()
            path = agent.live("digits").path
        flip_a_bit(path)
        await made.told("presence", lambda told: told == "offline")
        again = HostAgent.from_config(config)
        assert again.live("digits") is None  # not hashed yet
        with again:
            await made.told("presence", lambda told: told == "online")
            state = await made.outcome()  # the retained order brings it back
            assert (state["outcome"], state["release"]) == ("SUCCEEDED", 2)
            assert is_v2(again.live("digits").path)

    run(tmp_path, main)


def test_model_is_live_after_a_restart_without_a_broker(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml()):
            await made.order(V2)
            await made.outcome()
        with refused_port() as port:
            alone = World(tmp_path, port, 1, None, {})
            agent = HostAgent.from_config(alone.toml())
            served = threading.Event()
            hooks = agent._hooks["digits"]
            serve = hooks.serve

            async def tell(live):
                said = await serve(live)
                served.set()
                return said

            hooks.serve = tell
            with agent:
                assert await asyncio.to_thread(served.wait, 20)
                assert close(agent.run("digits", PICTURE), V2_SCORES)

    run(tmp_path, main)


def test_what_was_measured_without_a_broker_arrives_after_a_restart(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml()):
            await made.order(V2)
            await made.outcome()
        with refused_port() as port:
            alone = World(tmp_path, port, 1, None, {})
            with HostAgent.from_config(alone.toml()) as agent:
                await asyncio.to_thread(agent.wait_live, "digits", 20)
                agent.run("digits", PICTURE)
        with HostAgent.from_config(made.toml()):
            window = await made.told("metrics", lambda _: True)
            assert (window["boot"], window["release"], window["inferences"]) == (2, 2, 1)

    run(tmp_path, main)


def test_runs_in_the_programs_own_event_loop(tmp_path):
    async def main(made):
        agent = HostAgent.from_config(made.toml())
        running = asyncio.create_task(agent.run_forever())
        await made.order(V2)
        assert (await made.outcome())["outcome"] == "SUCCEEDED"
        assert close(agent.run("digits", PICTURE), V2_SCORES)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await made.told("presence", lambda told: told == "offline")

    run(tmp_path, main)


def test_many_threads_may_run_the_model(tmp_path):
    wrong = []

    async def main(made):
        with HostAgent.from_config(made.toml()) as agent:
            await made.order(V2)
            await made.outcome()

            def infer():
                for given, expected in records("digits-v2.golden"):
                    if not close(agent.run("digits", given), expected):
                        wrong.append(given)

            await asyncio.gather(*(asyncio.to_thread(infer) for _ in range(4)))

    run(tmp_path, main)
    assert not wrong


def test_state_folder_is_one_agents_own(tmp_path):
    with refused_port() as port:
        config = World(tmp_path, port, 1, None, {}).toml()
        with HostAgent.from_config(config), pytest.raises(ConfigError, match="another agent"):
            HostAgent.from_config(config)
        with HostAgent.from_config(config):
            pass  # it was given back


def test_model_may_have_any_name(tmp_path):
    with refused_port() as port:
        config = World(tmp_path, port, 1, None, {}).toml()
        models = 'models = ["lock", "device", "journal", "%s"]' % ("m" * 63)
        config.write_text(config.read_text().replace('models = ["digits"]', models))
        with HostAgent.from_config(config) as agent:
            assert agent._agent.state()["refused"] == ""


def test_report_has_all_runtimes_that_the_host_offers(tmp_path):
    with refused_port() as port:
        agent = HostAgent.from_config(World(tmp_path, port, 1, None, {}).toml())._agent
    document = agent.state()
    runtimes = document["extra"]["runtimes"]
    assert runtimes[document["runtime"]] == document["runtime_version"]
    assert set(runtimes) & {"tflite-runtime", "ai-edge-litert"}
    assert document["runtime"] == "tflite"


def test_state_folder_that_cannot_be_made_is_named(tmp_path):
    with refused_port() as port:
        config = World(tmp_path, port, 1, None, {}).toml()
    (tmp_path / "state-pi-1").write_text("a file")
    with pytest.raises(ConfigError, match="state-pi-1"):
        HostAgent.from_config(config)


@pytest.mark.parametrize(
    ("gone", "new"), [((2, "b"), (1, "a")), ((1, "a"), (1, "b"))], ids=["a trial ended", "moved"]
)
def test_model_that_went_while_it_was_loaded_is_not_a_failure(tmp_path, gone, new):
    """Between `live` and `load` its bank was emptied: its trial ended, or its release came
    again and is in the other bank now."""
    with refused_port() as port:
        agent = HostAgent.from_config(World(tmp_path, port, 1, None, {}).toml())

    class Live:
        def __init__(self, release, path):
            self.release, self.path = release, path

    lives = iter([Live(*gone), Live(*new), Live(*new)])
    agent.live = lambda model: next(lives)
    failures = []
    agent.observe = lambda model, failures=0, **_: failures.append(failures) if failures else None

    scores = numpy.int8([1, 2])

    class Program:
        def run(self, live, data):
            if (live.release, live.path) == gone:
                raise ProofError("its file is gone")
            return {"scores": scores}, 1.0

    agent._programs["digits"] = Program()
    assert agent.run("digits", PICTURE) == scores.tobytes()
    assert not failures


def test_authorities_that_cannot_be_read_any_more_are_reported(tmp_path):
    ca_file = tmp_path / "ca.pem"
    shutil.copy(Authority(tmp_path).ca_file, tmp_path / "good.pem")
    shutil.copy(tmp_path / "good.pem", ca_file)
    with refused_port() as port:
        toml = World(tmp_path, port, 1, None, {}).toml()
    toml.write_text(f'{toml.read_text()}\nca = "{ca_file}"\n')
    agent = HostAgent.from_config(toml)._agent
    fetcher = agent.updates["digits"].work.ports.fetcher
    ca_file.write_text("garbage")
    fetcher.authorities.context()
    assert agent.changed.is_set()
    assert agent.state()["refused"].startswith(f"download.ca: {ca_file}: ")
    shutil.copy(tmp_path / "good.pem", ca_file)
    fetcher.authorities.context()
    assert agent.state()["refused"] == ""
