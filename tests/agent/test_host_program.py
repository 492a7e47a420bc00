"""The inference program and the agent in its process: what the program passes can hurt nobody but
the call that passed it, and it learns what it has to know."""

import asyncio
import logging
import os
import signal
import threading
from decimal import Decimal

import pytest

from modelwave_agent import runner
from modelwave_agent.host import AgentStopped, HostAgent, InputError, ProofError
from modelwave_agent.host.program import Program
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.litert import LiteRT
from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings
from modelwave_agent.host.runtimes.specs import TensorSpec
from modelwave_agent.observations import MAX_OPEN
from modelwave_agent.types import Live, Window
from tests.agent.host_places import refused_port
from tests.agent.host_world import Digits, World
from tests.agent.test_host_agent import PICTURE, V2_SCORES, close, run

pytestmark = pytest.mark.slow

numpy = pytest.importorskip("numpy")

V1, V2 = Digits(1, "v1"), Digits(2, "v2")
SECONDS = 120

WRONG_COUNTS = [
    ({"correct": "1", "labelled": 1}, TypeError, "correct: "),
    ({"inferences": 1.0}, TypeError, "inferences: "),
    ({"labelled": None}, TypeError, "labelled: "),
    ({"inferences": -1}, ValueError, "inferences: "),
    ({"labelled": 1, "correct": 9}, ValueError, "correct: "),
    ({"inferences": 1, "failures": 2}, ValueError, "failures: "),
    ({"inferences": 10**10}, ValueError, "inferences: "),
    ({"inferences": 10**5000}, ValueError, "inferences: "),
    ({"release": "v1"}, TypeError, "release: "),
    ({"release": -1}, ValueError, "release: "),
    ({"reason": 5}, TypeError, "reason: "),
    ({"confidence": 1.5}, ValueError, "confidence: "),
    ({"predicted": "two words"}, ValueError, "predicted: "),
    ({"latency_ms": float("nan")}, ValueError, "latency_ms: "),
    ({"metrics": {"power_mw": "310"}}, TypeError, r"metrics\['power_mw'\]: "),
    ({"window": 1, "labelled": 1}, ValueError, "release: "),
    ({"window": 10**6, "labelled": 1, "release": 1}, ValueError, "window: "),
    ({"window": 1, "inferences": 1, "release": 1}, ValueError, "window: "),
]


@pytest.fixture
def config(tmp_path):
    """Of an agent that no broker ever answered."""
    with refused_port() as port:
        yield World(tmp_path, port, 1, None, {}).toml("metrics_seconds = 0.1")


@pytest.mark.parametrize(("counts", "kind", "name"), WRONG_COUNTS)
def test_wrong_count_raises_in_the_programs_thread_by_name(config, counts, kind, name):
    with HostAgent.from_config(config) as agent:
        with pytest.raises(kind, match=f"^{name}"):
            agent.observe("digits", **counts)
        agent.check()


@pytest.mark.parametrize("model", ["letters", None, ["digits"], pytest.param(10**5000, id="long")])
def test_unknown_model_is_refused_by_name(config, model):
    with HostAgent.from_config(config) as agent:
        for call in (
            lambda: agent.live(model),
            lambda: agent.wait_live(model, 0),
            lambda: agent.run(model, PICTURE),
            lambda: agent.observe(model, inferences=1),
        ):
            with pytest.raises(ValueError, match=r"^model: .* which are digits"):
                call()


RELEASED = memoryview(b"")
RELEASED.release()


@pytest.mark.parametrize(
    "data", ["a text", None, 5, [1, 2], RELEASED, numpy.array(["2020"], "M8[D]")]
)
def test_input_without_bytes_is_a_type_error(config, data):
    with HostAgent.from_config(config) as agent, pytest.raises(TypeError, match=r"^data: give the"):
        agent.run("digits", data)


def test_bools_and_scalars_of_numpy_count_and_no_wrong_call_spoils_a_window(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml("metrics_seconds = 0.5")) as agent:
            await made.order(V2)
            await made.outcome()
            agent.run("digits", numpy.frombuffer(PICTURE, numpy.int8))
            agent.observe("digits", labelled=numpy.int64(1), correct=numpy.bool_(True))
            agent.observe("digits", labelled=numpy.array(1), correct=True)
            for counts, kind, _ in WRONG_COUNTS:
                with pytest.raises(kind):
                    agent.observe("digits", **counts)
            sums = {"inferences": 0, "failures": 0, "labelled": 0, "correct": 0}

            def complete(document):
                for key in sums:
                    sums[key] += document[key]
                return sums["labelled"] == 2

            await made.told("metrics", complete)
            assert sums == {"inferences": 1, "failures": 0, "labelled": 2, "correct": 2}
            agent.check()

    run(tmp_path, main)


def test_run_measures_its_latency_and_observe_the_rest(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml("metrics_seconds = 0.5")) as agent:
            await made.order(V2)
            await made.outcome()
            for _ in range(3):
                agent.run("digits", PICTURE)
                agent.observe(
                    "digits",
                    confidence=numpy.float32(0.75),
                    predicted=numpy.int64(7),
                    metrics={"power_mw": numpy.float64(310)},
                )
            window = agent.window()
            found = []

            def complete(document):
                found.append(document)
                return sum(one["inferences"] for one in found) == 3

            await made.told("metrics", complete)
            bins = [count for one in found for count in one["latency"]["bins"][1:]]
            assert sum(bins) == 3
            assert sum(one["confidence"][1] for one in found) == 3
            assert {one["confidence"][0] for one in found} == {12}
            assert sum(one["classes"]["7"] for one in found) == 3
            assert found[0]["numbers"]["power_mw"][1] == 310 * 10**6
            assert found[0]["window"] <= window <= found[-1]["window"]

    run(tmp_path, main)


def test_labels_of_an_earlier_window_are_sent_with_its_number(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml("metrics_seconds = 0.3")) as agent:
            await made.order(V2)
            await made.outcome()
            window = agent.window()
            agent.run("digits", PICTURE)
            await made.told("metrics", lambda document: document["inferences"] == 1)
            agent.observe("digits", release=2, window=window, labelled=1, correct=1)
            late = await made.told("metrics", lambda document: document["labelled"] == 1)
            assert (late["window"], late["release"], late["inferences"]) == (window, 2, 0)

    run(tmp_path, main)


def test_wrong_arguments_on_trial_count_against_nothing(tmp_path):
    async def main(made):
        with HostAgent.from_config(made.toml()) as agent:
            await made.order(V1)
            await made.outcome()
            await made.order(V2, inferences=1)
            await made.state(lambda state: state["state"] == "trial")
            with pytest.raises(InputError, match=r"^data: the model needs 64 bytes of input, and"):
                agent.run("digits", PICTURE[1:])
            with pytest.raises(InputError, match=r"^data: input pictures: the model takes int8"):
                agent.run("digits", numpy.zeros((1, 64), numpy.float32))
            with pytest.raises(InputError, match=r"^data: 'image': the model has no such input"):
                agent.run("digits", {"image": numpy.zeros((1, 64), numpy.int8)})
            with pytest.raises(TypeError, match=r"^data: "):
                agent.run("digits", "a text")
            assert close(agent.run("digits", PICTURE), V2_SCORES)
            assert (await made.outcome())["outcome"] == "SUCCEEDED"

    run(tmp_path, main)


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), MemoryError()])
def test_fault_of_the_device_on_trial_counts_against_nothing(tmp_path, monkeypatch, error):
    async def main(made):
        with HostAgent.from_config(made.toml()) as agent:
            await made.order(V2, inferences=1)
            await made.state(lambda state: state["state"] == "trial")
            with monkeypatch.context() as faulty:
                faulty.setattr(LiteRT, "load", raising(error))
                kind = ProofError if isinstance(error, OSError) else type(error)
                with pytest.raises(kind, match=r"Too many open files|^$"):
                    agent.run("digits", PICTURE)
            assert close(agent.run("digits", PICTURE), V2_SCORES)
            assert (await made.outcome())["outcome"] == "SUCCEEDED"

    run(tmp_path, main)


def raising(error):
    def raises(*_arguments):
        raise error

    return raises


class Breakable:
    """An agent that ends by an error, as it never should, when `stop` is called."""

    def __init__(self, config):
        self.agent = HostAgent.from_config(config)
        self.stop = None
        self.agent._agent.run = self.run

    async def run(self):
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        self.stop = lambda: loop.call_soon_threadsafe(told.set)
        await told.wait()
        raise OSError(5, "Input/output error")

    def __enter__(self):
        self.agent.__enter__()
        while self.stop is None:
            threading.Event().wait(0.01)
        return self

    def __exit__(self, *_):
        with pytest.raises(OSError, match="Input/output"):
            self.agent.__exit__(None, None, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_program_sees_that_the_agent_has_ended_and_goes_on(tmp_path, caplog):
    async def main(made):
        config = made.toml()
        with HostAgent.from_config(config) as agent:
            await made.order(V2)
            await made.outcome()
            live = agent.live("digits")
            agent.check()
        with Breakable(config) as broken:
            agent = broken.agent
            agent.live = lambda model: live  # it had been verified before
            assert close(agent.run("digits", PICTURE), V2_SCORES)
            broken.stop()
            agent._thread.join(SECONDS)
            with pytest.raises(AgentStopped, match="Input/output error") as raised:
                agent.check()
            assert isinstance(raised.value.__cause__, OSError)
            for _ in range(3):
                assert close(agent.run("digits", PICTURE), V2_SCORES)
            agent.observe("digits", labelled=1)
        told = [record for record in caplog.records if "agent has stopped" in record.message]
        assert [record.levelno for record in told] == [logging.ERROR]

    run(tmp_path, main)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_who_waits_for_a_model_sees_that_the_agent_has_ended(config):
    with Breakable(config) as broken:
        broken.stop()
        with pytest.raises(AgentStopped, match="Input/output error"):
            broken.agent.wait_live("digits")


def test_waiting_for_a_model_on_a_fresh_device_says_what_is_missing(config):
    with HostAgent.from_config(config) as agent:
        with pytest.raises(TimeoutError, match=r"^digits: no release .* after 0.1 seconds"):
            agent.wait_live("digits", 0.1)
        with pytest.raises(ProofError, match=r"^digits: no release is installed yet$"):
            agent.run("digits", PICTURE)


def test_model_is_waited_for_until_the_first_order_and_after_a_restart_without_a_broker(tmp_path):
    found = []

    def wait(agent):
        found.append(agent.wait_live("digits", SECONDS))

    async def main(made):
        with HostAgent.from_config(made.toml()) as agent:
            waiting = threading.Thread(target=wait, args=[agent])
            waiting.start()
            await made.order(V2)
            await asyncio.to_thread(waiting.join)
            assert found[0].release == 2
            await made.outcome()
        with (
            refused_port() as port,
            HostAgent.from_config(World(tmp_path, port, 1, None, {}).toml()) as agent,
        ):
            assert agent.wait_live("digits", SECONDS).release == 2
            assert close(agent.run("digits", PICTURE), V2_SCORES)

    run(tmp_path, main)


def test_waiting_in_the_agents_own_event_loop_does_not_block_it(config):
    async def main():
        agent = HostAgent.from_config(config)
        running = asyncio.create_task(agent.run_forever())
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            agent.wait_live("digits")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(main())


def test_counts_of_too_many_releases_are_refused_by_name(config):
    with HostAgent.from_config(config) as agent:
        agent._agent.observations.windows = {
            ("digits", n): Window("digits", n, 1, 0.0, False) for n in range(MAX_OPEN)
        }
        with pytest.raises(ValueError, match=r"^release: 99, and counts of 32 others"):
            agent.observe("digits", inferences=1, release=99)
        agent.observe("digits", inferences=1, release=3)


@pytest.mark.parametrize("timeout", [float("nan"), numpy.float32("nan"), "5", b"5", [1], {}])
def test_timeout_that_is_no_number_is_refused_by_name(config, timeout):
    said = r"^timeout: give seconds, or None, not "
    with HostAgent.from_config(config) as agent, pytest.raises(ValueError, match=said):
        agent.wait_live("digits", timeout)


@pytest.mark.parametrize("timeout", [-1, numpy.float32(0.01), Decimal("0.01"), False])
def test_timeout_may_be_any_number(config, timeout):
    with HostAgent.from_config(config) as agent, pytest.raises(TimeoutError):
        agent.wait_live("digits", timeout)


@pytest.mark.parametrize("timeout", [float("inf"), 10**11])
def test_timeout_may_be_as_long_as_it_likes(config, timeout):
    with HostAgent.from_config(config) as agent:
        agent._ended = True
        with pytest.raises(AgentStopped):
            agent.wait_live("digits", timeout)


def test_agent_runs_once(config):
    agent = HostAgent.from_config(config)
    with agent:
        with pytest.raises(RuntimeError, match="was started before: make a new one"):
            agent.__enter__()
        with pytest.raises(RuntimeError, match="was started before"):
            asyncio.run(agent.run_forever())
        agent.check()
    with pytest.raises(RuntimeError, match="was started before"), agent:
        pass
    with HostAgent.from_config(config) as again:
        again.check()


def test_process_that_is_forked_from_the_agents_is_told(config):
    told = []
    with HostAgent.from_config(config) as agent:
        read_end, write_end = os.pipe()
        child = os.fork()
        if not child:
            for call in (
                agent.check,
                lambda: agent.live("digits"),
                lambda: agent.wait_live("digits", 60),
                lambda: agent.run("digits", PICTURE),
                lambda: agent.observe("digits", inferences=1),
            ):
                try:
                    call()
                except BaseException as error:
                    os.write(write_end, f"{error}\n".encode())
            agent.__exit__(None, None, None)
            os.write(write_end, b"left\n")
            threading.Event().wait(60)  # ended below
        os.close(write_end)
        try:
            with os.fdopen(read_end) as lines:
                told = [lines.readline() for _ in range(6)]
            agent.check()
            agent.__exit__(None, None, None)
            HostAgent.from_config(config)  # the child does not hold the state folder
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    assert all(line.startswith("this process was forked") for line in told[:5])
    assert told[5] == "left\n"


def test_run_within_a_run_of_the_same_thread_is_refused(monkeypatch):
    class Within(HostRuntime):
        format = "tflite"

        inputs = outputs = (TensorSpec("a", "|u1", (0,)),)

        def load(self, path, loading):
            pass

        def _run(self, inputs):
            return program.run(live, b"")  # as a signal handler of the program could

    live = Live("digits", 1, "v1", "a.model", None, False)
    program = Program(RuntimeSettings())
    monkeypatch.setattr(registry, "make", lambda format_, settings: Within(settings))
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^run: it was called within itself"):
            program.run(live, b"")


def test_handler_of_the_programs_log_that_raises_does_not_end_the_agent(config):
    class Broken(logging.Handler):
        def emit(self, record):
            raise OSError("no log server")

    handler = Broken()
    logger = logging.getLogger("modelwave_agent")
    logger.addHandler(handler)
    try:
        with HostAgent.from_config(config) as agent:
            for update in agent._agent.updates.values():
                update.report.tell("what is logged")
            agent.check()
    finally:
        logger.removeHandler(handler)


def test_device_without_threads_stays_an_agent(config, monkeypatch):
    """The program has used them up; they may be there again later."""
    lost = threading.Event()

    def start(thread):
        lost.set()
        raise RuntimeError("can't start new thread")

    with HostAgent.from_config(config) as agent:
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", start)
            full.setattr(runner, "RECONNECT_SECONDS", (0.01,))
            assert lost.wait(SECONDS)
            lost.clear()
            assert lost.wait(SECONDS)  # it tries again
        agent.check()
