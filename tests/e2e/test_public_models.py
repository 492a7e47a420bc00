"""The last columns of `make models` on a model of this repository: a real agent proves the release
and serves it, with the outputs of the runtime alone."""

import shutil
import sys
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

from benchmarks.models import columns, corpus  # noqa: E402
from benchmarks.models.agreement import agreement  # noqa: E402
from benchmarks.models.fleet import fleet  # noqa: E402

from tests.e2e.conftest import DIGITS  # noqa: E402


@pytest.mark.e2e
def test_a_released_model_is_served_by_a_real_agent_with_the_outputs_of_the_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELWAVE_MODELS", str(tmp_path))
    model = corpus.Model("digits", "digits-v2.tflite", "", "")
    shutil.copy(DIGITS / "digits-v2.tflite", model.file(tmp_path))
    python = columns.asked(sys.executable)
    alone = tmp_path / "alone.npz"
    assert columns.loads(python, model, model.file(tmp_path), alone, None) == columns.YES
    with fleet(tmp_path / "fleet") as devices:
        bad, _ = devices.release(model, "digits==1", alone)  # a set without a tolerance
        assert bad != columns.YES
        golden = DIGITS / "digits-v2.golden"
        released, ram = devices.release(model, "digits==1", golden, "--steps", "any=8")
        assert (released, ram > 0) == (columns.YES, True)
        served = devices.serve({model.name: alone}, [python])[model.name, python.name]
        assert isinstance(served, Path), served
        assert agreement(served, alone) == columns.YES
