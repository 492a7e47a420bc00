"""Models of several tensors beside the live one, and the settings of the device: what proves a
model, runs it in shadow and serves it loads it in the same way."""

import argparse
import asyncio
import json

import pytest

from modelwave_agent.host import HostAgent, shadow_process
from modelwave_agent.host.proving import DeviceRuntimes
from modelwave_agent.host.runtime_options import add_runtime_options
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_agent.host.shadow import HostShadow
from modelwave_agent.host.shadow_messages import FAILED
from modelwave_agent.types import AcceptedOrder
from tests import signing
from tests.agent.confirmed import MODEL, prepared
from tests.agent.host_places import refused_port

numpy = pytest.importorskip("numpy")
pytest.importorskip("tflite", reason="the package tflite, which writes models, is not installed")

from modelwave_agent.host.runtimes import litert  # noqa: E402
from tests.agent import several_tensors as models  # noqa: E402
from tests.agent.test_given import reshaped  # noqa: E402

pytestmark = pytest.mark.slow

SECONDS = 60  # for what takes a second or two
MIB = 2**20
XNNPACK = {"delegates": ["xnnpack"]}


def beside(folder, candidate, tolerance, given, live, settings=None, loading=None):
    """(event, reason, answers) of a candidate that is offered `given` with the outputs `live`."""
    path = folder / "b.model"
    path.write_bytes(candidate)
    seen = []
    budget = {**signing.SHADOW["extra"]["shadow"], "share_ppm": 10**6, "ram": 600 * MIB}
    budget |= {"seconds": 0.4, "latency_us": 10**9}
    manifest = {"release": 2, "format": "tflite", "tolerance": tolerance, "loading": loading or {}}
    order = AcceptedOrder({"extra": {"shadow": budget}}, manifest, "d", 0)
    shadow = HostShadow(
        settings or RuntimeSettings(), SECONDS, "", lambda _, answer: seen.append(answer)
    )

    async def keep(seconds):
        pass

    async def main():
        task = asyncio.create_task(shadow.run(order, str(path), 0, keep))
        async with asyncio.timeout(SECONDS):
            while not task.done():
                shadow.offer(given, live)
                await asyncio.sleep(0.005)
        return await task

    event, told = asyncio.run(main())
    assert seen, told
    return event, told, seen


def test_candidate_of_several_tensors_is_compared_output_by_output(tmp_path):
    for good, other, rule in (
        (models.detector(), models.detector(shift=3.0), models.boxes_rule),
        (models.joined(), models.joined(bias=50), models.elements_rule),
    ):
        runtime = models.loaded(tmp_path, good)
        given = models.inputs_of(runtime, 1)
        live, tolerance = runtime.run(given), rule(runtime)
        event, told, seen = beside(tmp_path, good, tolerance, given, live)
        assert event == "shadowed", told
        assert all(answer.agreed for answer in seen)
        _, _, seen = beside(tmp_path, other, tolerance, given, live)
        assert not any(answer.agreed for answer in seen)


def test_candidate_that_does_not_take_what_the_program_gives_fails(tmp_path):
    runtime = models.loaded(tmp_path, models.detector())
    (given,) = models.inputs_of(runtime, 1).values()
    live = runtime.run({runtime.inputs[0].name: given})
    tolerance = models.boxes_rule(runtime)
    event, told, seen = beside(tmp_path, reshaped("INT8"), tolerance, given, live)
    assert (event, seen[0].kind) == ("unhealthy", FAILED)
    assert "input tensor0: the model takes int8, and got float32" in told


def test_threads_and_delegates_of_agent_toml_reach_proof_shadow_and_program(tmp_path):
    lines = ["[runtime]", "threads = 3", "delegates = []"]
    with refused_port() as port:
        agent = HostAgent.from_config(prepared(tmp_path, reshaped("INT8"), port, lines=lines))
    wanted = RuntimeSettings(threads=3, delegates=())
    assert agent._programs[MODEL].settings == wanted
    proof = agent._agent.updates[MODEL].ports.runtime
    shadow = agent._shadows[MODEL]
    assert proof.settings == shadow.runtime == wanted
    command = shadow_process._command(
        shadow_process.ShadowSettings("m", "tflite", XNNPACK, {}, shadow.runtime, 1, 1), 3
    )
    parser = argparse.ArgumentParser()
    add_runtime_options(parser)
    options, _ = parser.parse_known_args(command)
    assert (options.settings, options.loading) == (wanted, XNNPACK)


@pytest.mark.parametrize("threads", [0, 3])
def test_threads_reach_the_runtime(tmp_path, monkeypatch, threads):
    seen = []
    runtime = litert.LiteRT(RuntimeSettings(threads=threads))
    real = runtime._tflite.Interpreter

    def interpreter(**options):
        seen.append(options["num_threads"])
        return real(**options)

    monkeypatch.setattr(runtime._tflite, "Interpreter", interpreter)
    (tmp_path / "m").write_bytes(reshaped("INT8"))
    runtime.load(str(tmp_path / "m"))
    assert seen == [threads or None]


@pytest.mark.parametrize("delegates", [("xnnpack",), ()])
def test_xnnpack_computes_where_manifest_and_device_allow_it_in_each_process(tmp_path, delegates):
    """Its tolerance has a figure for XNNPACK alone: elsewhere nothing can be compared."""
    model, settings = models.joined(), RuntimeSettings(delegates=delegates)
    reference = models.loaded(tmp_path, model)
    inputs = models.inputs_of(reference, 5)
    configuration = f"{reference.name}+xnnpack"
    rule = {"judge": "elements", "absolute": {configuration: 0}, "relative": {configuration: 1000}}
    tolerance = {"kind": "tensors", "outputs": {spec.name: rule for spec in reference.outputs}}
    golden = tmp_path / "golden.npz"
    golden.write_bytes(models.golden_set(reference, inputs))

    manifest = {"format": "tflite", "tolerance": tolerance, "loading": XNNPACK}
    runtimes = DeviceRuntimes(settings, proof_seconds=SECONDS)
    proof = runtimes.prove(str(tmp_path / "reference.tflite"), str(golden), manifest)
    verdict = asyncio.run(proof)
    assert (verdict == "") is bool(delegates), verdict

    given = {name: array[:1] for name, array in inputs.items()}
    live = reference.run(given)
    off = {name: array + numpy.float32(1e-4) for name, array in live.items()}
    off = {name: array.astype(live[name].dtype) for name, array in off.items()}
    _, _, seen = beside(tmp_path, model, tolerance, given, off, settings, XNNPACK)
    assert {answer.agreed for answer in seen} == {bool(delegates)}

    lines = ["[runtime]", f"delegates = {json.dumps(delegates)}"]
    with (
        refused_port() as port,
        HostAgent.from_config(prepared(tmp_path / "a", model, port, XNNPACK, lines)) as agent,
    ):
        agent.wait_live(MODEL)
        agent.run(MODEL, given)
        found = agent._programs[MODEL].runtime.configuration
    assert found == (configuration if delegates else reference.name)
