"""Tests reading what the Edge TPU compiler wrote into a model; the bytes are not trusted."""

from random import Random

import pytest

from modelwave_controller.fit import ModelError
from modelwave_controller.fit.model import read_model
from modelwave_controller.models import edgetpu
from tests.fit.writer import Graph, write
from tests.models import small_models


def test_package_tells_runtime_chip_and_parameters() -> None:
    data = small_models.edgetpu(least_runtime=12, chip="beagle")
    assert edgetpu.is_compiled(read_model(data))
    found = edgetpu.package(data)
    assert (found.least_runtime, found.chip, found.compiler) == (12, "beagle", "compiler 16")
    assert (found.cached_bytes, found.streamed_bytes) == (100, 20)


def test_of_several_packages_the_newest_runtime_counts() -> None:
    graph = Graph()
    tensors = [graph.tensor([1, 8]) for _ in range(4)]
    for number, least in enumerate((12, 14, 13)):
        options = small_models.package_options(small_models.package(least, "beagle"))
        graph.op(edgetpu.OPERATOR, [tensors[number]], [tensors[number + 1]], custom=options)
    graph.inputs, graph.outputs = tensors[:1], tensors[-1:]
    assert edgetpu.package(write(graph)).least_runtime == 14


def test_a_model_for_the_cpu_has_no_package() -> None:
    data = small_models.dense()
    assert not edgetpu.is_compiled(read_model(data))
    with pytest.raises(ModelError, match="without a package"):
        edgetpu.package(data)


@pytest.mark.parametrize("least", [-1, -(2**31)])
def test_a_negative_runtime_version_is_refused(least: int) -> None:
    with pytest.raises(ModelError, match="needs runtime version"):
        edgetpu.package(small_models.edgetpu(least_runtime=least))


def test_any_damage_to_the_options_is_a_named_error() -> None:
    """Every byte of the operator's options changed, and every length of them."""
    options = small_models.package_options(small_models.package(13, "beagle"))
    rng = Random(1)
    damaged = [options[:length] for length in range(0, len(options), 3)]
    for at in range(len(options)):
        changed = bytearray(options)
        changed[at] ^= rng.randrange(1, 256)
        damaged.append(bytes(changed))
    refused = 0
    for one in damaged:
        try:
            edgetpu.package(small_models.edgetpu(options=one))
        except ModelError:
            refused += 1
    assert len(damaged) // 4 < refused < len(damaged)
