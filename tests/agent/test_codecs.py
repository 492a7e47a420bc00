"""Reading the system's figures imports nothing: an import that fails once, as the disk could not be
read, would be noted for as long as the agent runs."""

import subprocess
import sys

import pytest

READ = """
import os, sys
from modelwave_agent.host import measure, memory, shadow_child, shadow_process

class Unreadable:
    def find_spec(self, name, path=None, target=None):
        raise ImportError(f"{name}: the disk cannot be read")

class Worker:
    process = type("Process", (), {"pid": os.getpid()})
    _used_bytes = shadow_process.ShadowProcess._used_bytes

sys.meta_path.insert(0, Unreadable())
print(memory.available_bytes(), measure.resident("Rss"), shadow_child.peak_bytes(),
      Worker()._used_bytes())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's /proc")
def test_figures_of_the_system_are_read_without_an_import() -> None:
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert all(int(figure) > 0 for figure in done.stdout.split())
    assert len(done.stdout.split()) == 4
