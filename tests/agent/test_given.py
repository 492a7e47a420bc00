"""What a program may give to `run`, and what it gets back; every type of element that a runtime
here takes; and the counts on their way to the agent's event loop."""

import asyncio
import copy
import threading

import pytest

from modelwave_agent.host import InputError
from modelwave_agent.host.handover import Handover
from tests.agent.confirmed import MODEL, serving

numpy = pytest.importorskip("numpy")
pytest.importorskip("tflite", reason="the package tflite, which writes models, is not installed")

from benchmarks import serving as bench  # noqa: E402

from modelwave_agent.host import given, shadow_input  # noqa: E402
from modelwave_agent.host.offers import AI_EDGE_LITERT  # noqa: E402
from modelwave_agent.host.runtimes.litert import LiteRT  # noqa: E402
from modelwave_agent.host.runtimes.port import RuntimeSettings  # noqa: E402
from modelwave_agent.ports import ProofError  # noqa: E402
from tests.agent.test_runtimes import loaded, sums  # noqa: E402
from tests.fit.writer import Graph, write  # noqa: E402

SECONDS = 60  # for what takes a fraction of one


def reshaped(kind, outputs=1):
    """A model that gives its input back in another shape, `outputs` times."""
    graph = Graph()
    graph.inputs = [graph.tensor([1, 4], kind, scales=[], zero_points=[])]
    graph.outputs = [graph.tensor([2, 2], kind, scales=[], zero_points=[]) for _ in range(outputs)]
    for output in graph.outputs:
        shape = graph.constant([2, 2])
        graph.op("RESHAPE", [graph.inputs[0], shape], [output], "Reshape", NewShape=[2, 2])
    return write(graph)


NUMBERS = {
    "BOOL": "|b1",
    "INT8": "|i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "|u1",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "FLOAT16": "<f2",
    "FLOAT32": "<f4",
    "FLOAT64": "<f8",
    "COMPLEX64": "<c8",
    "COMPLEX128": "<c16",
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_every_type_of_numbers_goes_in_and_comes_out_unchanged(tmp_path, kind):
    runtime = loaded(tmp_path, reshaped(kind))
    dtype = numpy.dtype(NUMBERS[kind])
    assert [spec.dtype for spec in runtime.inputs + runtime.outputs] == [dtype.str] * 2
    bits = numpy.arange(4 * dtype.itemsize, dtype=numpy.uint8) % (2 if kind == "BOOL" else 120)
    array = bits.view(dtype).reshape(1, 4)
    found = given.result(array, given.run(runtime, array))
    assert (found.dtype, found.shape) == (dtype, (2, 2))
    assert found.tobytes() == array.tobytes()
    data = array.tobytes()
    assert given.result(data, given.run(runtime, data)) == data


@pytest.mark.parametrize("texts", [[["a", "bc", "", "\u00fc"]], [[b"a", b"bc", b"", b"\xc3\xbc"]]])
@pytest.mark.parametrize("kind", ["U", "O"])
def test_texts_go_in_and_come_out_as_bytes(tmp_path, texts, kind):
    runtime = loaded(tmp_path, reshaped("STRING"))
    array = numpy.array(texts, "S" if kind == "U" and isinstance(texts[0][0], bytes) else kind)
    (found,) = given.run(runtime, array).values()
    assert found.reshape(-1).tolist() == [b"a", b"bc", b"", "\u00fc".encode()]
    plain = shadow_input.plain(found)
    assert plain.tolist() == [[b"a", b"bc"], [b"", "\u00fc".encode()]]
    with pytest.raises(InputError, match="its size is not fixed"):
        given.run(runtime, b"abcd")


def test_an_object_that_is_no_text_is_the_programs_fault_not_the_models(tmp_path):
    runtime = loaded(tmp_path, reshaped("STRING"))
    with pytest.raises(InputError, match=r"input tensor0: a text is str or bytes, and got a float"):
        given.run(runtime, numpy.array([["a", 1.5, "", ""]], object))


@pytest.mark.parametrize(
    ("kind", "takes"), [("INT4", AI_EDGE_LITERT), ("UINT16", AI_EDGE_LITERT), ("BFLOAT16", "none")]
)
def test_a_type_that_not_every_runtime_takes_is_unchanged_or_told(tmp_path, kind, takes):
    """tflite-runtime loads such a model, and then takes no array for it."""
    path = tmp_path / "model.tflite"
    path.write_bytes(reshaped(kind))
    runtime = LiteRT()

    def used():
        runtime.load(str(path))
        array = numpy.array([[1, 0, 7, 3]], runtime.inputs[0].dtype)
        return runtime.run({"tensor0": array})["tensor1"].tolist()

    if runtime.name == takes:
        assert used() == [[1, 0], [7, 3]]
        return
    with pytest.raises(ProofError, match=r"the model cannot be (loaded|run): \S"):
        used()


def test_what_comes_back_has_the_form_of_what_was_given(tmp_path):
    array = numpy.float32([[1, 2, 3, 4]])
    one, two = reshaped("FLOAT32"), reshaped("FLOAT32", outputs=2)
    with serving(tmp_path / "one", one) as agent:
        assert agent.run(MODEL, array.tobytes()) == array.tobytes()
        assert agent.run(MODEL, bytearray(array.tobytes())) == array.tobytes()
        assert agent.run(MODEL, memoryview(array)) == array.tobytes()
        assert agent.run(MODEL, array).tolist() == [[1, 2], [3, 4]]
        assert agent.run(MODEL, array[0]).tolist() == [[1, 2], [3, 4]]
        (found,) = agent.run(MODEL, {"tensor0": array}).values()
        assert found.tolist() == [[1, 2], [3, 4]]
        turned = numpy.asfortranarray(numpy.float32([[1, 0], [2, 0], [3, 0], [4, 0]]).T)[:1]
        assert agent.run(MODEL, turned).tolist() == [[1, 2], [3, 4]]
        again = agent.run(MODEL, array + 1)
        found += 100
        assert again.tolist() == [[2, 3], [4, 5]], "a result is the caller's own"
        assert array.tolist() == [[1, 2, 3, 4]]
    with serving(tmp_path / "two", two) as agent:
        found = agent.run(MODEL, array)
        assert sorted(found) == ["tensor1", "tensor2"]
        assert all(output.tolist() == [[1, 2], [3, 4]] for output in found.values())
        with pytest.raises(InputError, match=r"^data: the model has 2 outputs .*arrays by name"):
            agent.run(MODEL, array.tobytes())


def test_a_model_with_two_inputs_takes_arrays_by_name_alone(tmp_path):
    left, right = numpy.float32([[1, 2, 3]]), numpy.float32([[10, 20, 30]])
    with serving(tmp_path, sums()) as agent:
        found = agent.run(MODEL, {"tensor0": left, "tensor1": right})
        assert found["tensor2"].tolist() == [[11, 22, 33]]
        for data in (left, left.tobytes()):
            with pytest.raises(InputError, match=r"^data: the model has 2 inputs \(tensor0, ten"):
                agent.run(MODEL, data)
        with pytest.raises(InputError, match=r"^data: input tensor1: missing"):
            agent.run(MODEL, {"tensor0": left})
        with pytest.raises(TypeError, match=r"^data: the name of an input is a text, not a int"):
            agent.run(MODEL, {0: left})


@pytest.mark.parametrize(
    "data",
    [
        b"abcd",
        numpy.float32([[1, 2, 3, 4]]),
        numpy.array([["a", "\u00fc"]]),
        {"a": numpy.arange(6).reshape(2, 3).T, "b": numpy.array([[b"x", "yz"]], object)},
        {"a": numpy.zeros((0, 3)), "b": numpy.float64(5)},
    ],
)
def test_a_shadow_gets_a_copy_of_what_the_program_gave(data):
    changing = copy.deepcopy(data)
    outputs = {"scores": numpy.int8([[1, 2]]), "words": numpy.array([b"x", b"yz"], object)}
    head, *pieces = shadow_input.packed(changing, outputs)
    for array in changing.values() if isinstance(changing, dict) else [changing, outputs["scores"]]:
        if isinstance(array, numpy.ndarray):
            array[...] = numpy.zeros_like(array)  # the program uses it again
    sizes = shadow_input.HEAD.unpack_from(head)
    description = head[shadow_input.HEAD.size :]
    assert sizes == (len(description), sum(map(len, pieces)))
    found, live = shadow_input.unpacked(description, b"".join(pieces))
    assert live["scores"].tolist() == [[1, 2]]
    assert live["words"].tolist() == [b"x", b"yz"]
    if isinstance(data, bytes):
        assert found == data
        return
    wanted = data if isinstance(data, dict) else {"": data}
    found = found if isinstance(data, dict) else {"": found}
    for name, array in wanted.items():
        plain = shadow_input.plain(array)
        got = numpy.asarray(found[name])  # a number that was no array is none again
        assert (got.dtype, got.shape) == (plain.dtype, plain.shape)
        assert got.tolist() == plain.tolist()


# The counts.


def test_no_count_is_lost_and_few_of_them_wake_the_agent():
    counted, wakes = [], []

    async def main():
        loop = asyncio.get_running_loop()
        waking = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *call: (wakes.append(call), waking(*call))
        done = asyncio.Event()

        def count(*one):
            counted.append(one)
            if len(counted) == 4000:
                done.set()

        handover = Handover(count)
        handover.give("no loop yet")
        handover.loop = loop
        threads = [threading.Thread(target=give, args=[handover, at]) for at in range(4)]
        for thread in threads:
            thread.start()
        await asyncio.wait_for(done.wait(), SECONDS)
        for thread in threads:
            thread.join()

    def give(handover, at):
        for number in range(1000):
            handover.give(at, number)

    asyncio.run(main())
    for at in range(4):
        assert [number for one, number in counted if one == at] == list(range(1000))
    assert len(wakes) < 400


def test_counts_are_taken_before_a_window_is_closed_and_a_wrong_one_is_alone():
    counted, told = [], []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))

        def count(number):
            if number == 2:
                raise ValueError("too many releases")
            counted.append(number)

        handover = Handover(count)
        handover.loop = loop
        for number in (1, 2, 3):
            handover.give(number)
        handover.take()
        assert counted == [1, 3]
        handover.give(4)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert counted == [1, 3, 4]

    asyncio.run(main())
    assert told == ["too many releases"]


def test_benchmark_of_run_measures_each_kind():
    cost = bench.measured(bench.network(1), 2, RuntimeSettings(threads=1), 0.5)
    assert all(times.mean > 0 for times in (cost.bare, cost.array, cost.data, cost.delegate))
    assert bench.row(cost).count("|") == len(bench.COLUMNS) + 1
