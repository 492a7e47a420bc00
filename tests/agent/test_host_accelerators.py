"""Coral and Jetson without the hardware: a fake libedgetpu, a fake /proc and nvpmodel."""

import asyncio
import json
import subprocess

import pytest

from modelwave_agent.host import accelerators, edgetpu, jetson, proving
from modelwave_agent.host.proving import DeviceRuntimes
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_agent.ports import ProofError
from modelwave_shared import fields
from modelwave_shared.fit import shortfalls
from tests.tools import needed

pytestmark = pytest.mark.slow

GOOD = 'const char* edgetpu_version(void) { return "BuildLabel(N/A), RuntimeVersion(14)"; }'
ONE_DEVICE = "*n = 1; return (void*)one;"
LIBRARY = """
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>
static int one[4];
void* edgetpu_list_devices(size_t* n) {{ {devices} }}
void edgetpu_free_devices(void* d) {{ if (d != one) abort(); }}
{version}
"""
NEEDS = {"flash": 0, "ram": 0, "kernels": [], "runtime": "tflite", "accelerator": ""}


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Compiles a fake library with these answers, and uses it in place of libedgetpu."""
    compiler = needed("gcc")

    def put(version=GOOD, devices=ONE_DEVICE):
        source, made = tmp_path / "fake.c", tmp_path / "libfake.so"
        source.write_text(LIBRARY.format(version=version, devices=devices))
        command = [compiler, "-shared", "-fPIC", "-o", str(made), str(source)]
        subprocess.run(command, check=True)
        monkeypatch.setattr(accelerators, "EDGETPU_LIBRARY", str(made))
        return str(made)

    return put


def has(runtime):
    return {
        "flash": 0,
        "ram": runtime.free_ram(),
        "runtime": runtime.format,
        "runtime_version": runtime.version,
        "accelerator": runtime.accelerator,
        "kernels": runtime.kernels,
    }


def test_the_librarys_runtime_version_is_what_a_release_is_held_against(library):
    library()
    runtime = DeviceRuntimes(RuntimeSettings("edgetpu"))
    assert runtime.accelerator == "edgetpu/14"
    fields.token(runtime.accelerator, "accelerator")
    assert shortfalls({**NEEDS, "accelerator": "edgetpu>=14"}, has(runtime)) == []
    assert shortfalls({**NEEDS, "accelerator": "edgetpu>=15"}, has(runtime)) == [
        "accelerator: needs edgetpu>=15, has edgetpu/14"
    ]


@pytest.mark.parametrize(
    ("version", "devices", "words"),
    [
        ("const char* edgetpu_version(void) { abort(); }", ONE_DEVICE, "SIGABRT"),
        (GOOD, "*(volatile int*)0 = 1; return 0;", "SIGSEGV"),
        ("__attribute__((constructor)) void load(void) { abort(); }", ONE_DEVICE, "SIGABRT"),
        (GOOD, "*n = 0; return NULL;", "finds no Edge TPU"),
        ('const char* edgetpu_version(void) { return "new"; }', ONE_DEVICE, "does not report"),
        ("const char* edgetpu_version(void) { return NULL; }", ONE_DEVICE, "does not report"),
        ("", ONE_DEVICE, "edgetpu_version"),
        ("const char* edgetpu_version(void) { pause(); return 0; }", ONE_DEVICE, "did not answer"),
    ],
)
def test_a_library_that_crashes_hangs_or_finds_nothing_leaves_the_agent_alive(
    library, monkeypatch, version, devices, words
):
    if "pause" in version:
        monkeypatch.setattr(edgetpu, "SECONDS", 1)
    library(version, devices)
    with pytest.raises(ProofError, match=words):
        DeviceRuntimes(RuntimeSettings("edgetpu"))


def test_a_file_that_is_no_library_is_named(tmp_path):
    (tmp_path / "lib.so").write_text("hello")
    with pytest.raises(ProofError, match=r"library is not installed: .*lib\.so"):
        edgetpu.runtime_version(str(tmp_path / "lib.so"))


@pytest.fixture
def orin(tmp_path, monkeypatch):
    """The files of a Jetson Orin Nano, used as the root of the file system."""
    for name, text in (
        ("proc/device-tree/compatible", "nvidia,p3768-0000+p3767-0005\0nvidia,tegra234\0"),
        ("var/lib/nvpmodel/status", "pmode:0002 fmode:quiet\n"),
        (
            "etc/nvpmodel.conf",
            "# < POWER_MODEL ID=2 NAME=commented >\n"
            "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n"
            "< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=1 >\n",
        ),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.setattr(jetson, "ROOT", tmp_path)
    return tmp_path


def test_a_jetson_tells_the_power_mode_that_is_set_now(orin):
    runtime = DeviceRuntimes(RuntimeSettings("jetson"))
    assert runtime.accelerator == "jetson/MAXN_SUPER"
    assert shortfalls({**NEEDS, "accelerator": "jetson"}, has(runtime)) == []
    assert shortfalls({**NEEDS, "accelerator": "jetson/15W"}, has(runtime)) == [
        "accelerator: needs jetson/15W, has jetson/MAXN_SUPER"
    ]
    (orin / "var/lib/nvpmodel/status").write_text("pmode:0000")
    assert shortfalls({**NEEDS, "accelerator": "jetson/15W"}, has(runtime)) == []


@pytest.mark.parametrize(
    ("status", "conf", "accelerator"),
    [
        (None, None, "jetson"),
        ("", None, "jetson"),
        ("pmode:", None, "jetson"),
        ("pmode:0007", None, "jetson/7"),
        ("pmode:2", "< POWER_MODEL ID=2 NAME=a/b\x1b\u202e >", "jetson/a_b__"),
        ("pmode:2", "< POWER_MODEL ID=2 NAME=" + "x" * 500 + " >", "jetson/" + "x" * 56),
    ],
)
def test_a_power_mode_that_cannot_be_read_is_told_as_far_as_it_goes(
    orin, status, conf, accelerator
):
    for name, text in (("var/lib/nvpmodel/status", status), ("etc/nvpmodel.conf", conf)):
        (orin / name).unlink()
        if text is not None:
            (orin / name).write_text(text)
    found = DeviceRuntimes(RuntimeSettings("jetson")).accelerator
    assert found == accelerator
    fields.token(found, "accelerator")


def test_a_host_that_is_no_jetson_says_so_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(jetson, "ROOT", tmp_path)
    with pytest.raises(ProofError, match="not a Jetson"):
        DeviceRuntimes(RuntimeSettings("jetson"))


def test_a_jetson_computes_on_its_cpu_and_proves_as_one(orin, monkeypatch):
    """No delegate is loaded, and the proof's process is told the kind without its detail."""
    runtime = DeviceRuntimes(RuntimeSettings("jetson"))
    assert runtime.installed[0]._delegates() is None
    told = []

    async def run(command, env=None):
        told.extend(command)
        raise OSError("seen")

    monkeypatch.setattr(proving.process, "run", run)
    with pytest.raises(OSError, match="seen"):
        asyncio.run(runtime.prove("m", "g", {"format": "tflite", "tolerance": {}}))
    assert json.loads(told[told.index("--settings") + 1])["accelerator"] == "jetson"


def test_operators_of_a_board_that_a_host_stands_in_for_are_all_it_has():
    runtime = DeviceRuntimes(kernels=("SOFTMAX",))
    wanted = {**NEEDS, "kernels": ["FULLY_CONNECTED", "SOFTMAX"]}
    assert shortfalls(wanted, has(runtime)) == ["kernels: lacks FULLY_CONNECTED"]
    assert shortfalls(wanted, has(DeviceRuntimes())) == []
