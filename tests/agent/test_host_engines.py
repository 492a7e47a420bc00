"""Engines of TensorRT in a host's banks: counted in flash, limited, timed, deleted with the bank.
They are files that a stand-in writes: no test has a GPU."""

import asyncio
import json

import pytest

from modelwave_agent.host import proving
from modelwave_agent.host.banks import HostBanks
from modelwave_agent.host.process import Ended
from modelwave_agent.host.proving import DeviceRuntimes

TENSORRT = {"providers": ["tensorrt", "cpu"]}
SIZE = 3000


@pytest.fixture
def banks(tmp_path):
    """Bank b with a model of 500 bytes and its engine of SIZE bytes."""
    (tmp_path / "b.model").write_bytes(bytes(500))
    (tmp_path / "b.engine" / "key").mkdir(parents=True)
    (tmp_path / "b.engine" / "key" / "graph.engine").write_bytes(bytes(SIZE))
    return HostBanks(str(tmp_path))


def test_an_engine_is_deleted_with_its_bank_and_only_with_it(banks, tmp_path):
    banks.clear(0)
    assert (tmp_path / "b.engine").is_dir()
    banks.clear(1)
    assert list(tmp_path.iterdir()) == []
    banks.clear(1)  # again, as after a power cut


def test_the_flash_of_an_engine_is_free_for_the_next_release(banks, tmp_path, monkeypatch):
    monkeypatch.setattr("os.statvfs", lambda folder: (0, 100, 0, 0, 18))  # 10 free blocks
    assert banks.room(1) - banks.room(0) == 500 + SIZE
    banks.limit_bytes = 2000
    assert (banks.room(0), banks.room(1)) == (1000, 2000)


@pytest.fixture
def prover(monkeypatch):
    """Device runtimes whose proofs are healthy; the commands are kept."""
    commands = []

    async def run(command):
        commands.append(command)
        return Ended(0, json.dumps({"healthy": True, "reason": ""}).encode(), b"")

    monkeypatch.setattr(proving.process, "run", run)
    runtimes = DeviceRuntimes(proof_seconds=10, engine_seconds=100)
    runtimes.commands = commands
    return runtimes


async def prove(runtimes, tmp_path, loading):
    manifest = {
        "format": "onnx",
        "tolerance": {},
        "loading": loading,
        "files": [{"role": "model", "sha256": "", "size": 500}],
    }
    return await runtimes.prove(str(tmp_path / "b.model"), "golden", manifest)


def seconds(runtimes):
    command = runtimes.commands[-1]
    return float(command[command.index("--seconds") + 1])


@pytest.mark.parametrize(
    ("offers", "loading", "limit"),
    [
        (("onnxruntime+tensorrt",), TENSORRT, 110),
        (("onnxruntime+cpu",), TENSORRT, 10),
        (("onnxruntime+tensorrt",), {"providers": ["cpu"]}, 10),
        (("onnxruntime+tensorrt",), {}, 10),
    ],
)
def test_only_a_proof_that_may_build_an_engine_has_the_time_for_it(
    prover, banks, tmp_path, offers, loading, limit
):
    prover.installed[0].offers = offers
    assert asyncio.run(prove(prover, tmp_path, loading)) == ""
    assert seconds(prover) == limit


def test_an_engine_beyond_the_limit_of_a_bank_is_unhealthy(prover, banks, tmp_path):
    prover.installed[0].offers = ("onnxruntime+tensorrt",)
    prover.flash_bytes = 500 + SIZE
    assert asyncio.run(prove(prover, tmp_path, TENSORRT)) == ""
    prover.flash_bytes -= 1
    told = asyncio.run(prove(prover, tmp_path, TENSORRT))
    assert told.startswith("flash: 1 bytes missing: the release takes 3500 with the engine of 3000")
