"""The example of a runtime of one's own (docs/runtimes.md), found by its entry point as an
installed package has it, and run in the process that proves models."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from modelwave_agent.host.golden import archive as archives
from modelwave_agent.host.runtimes import registry
from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_agent.ports import ProofError

np = pytest.importorskip("numpy")

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_runtime"
MODEL = {"mean": [1, 2], "scale": [2, 4], "coef": [[1, 0], [0, 1], [1, 1]], "intercept": [0, 0, 5]}


@pytest.fixture
def site(tmp_path):
    """A folder with the example as pip installs it: its module, and its entry points."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    folder = tmp_path / "site"
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (folder / "sklearn_json.py").write_text((EXAMPLE / "sklearn_json.py").read_text())
    return folder


@pytest.fixture
def installed(site, monkeypatch):
    monkeypatch.syspath_prepend(str(site))
    registry.formats.cache_clear()
    yield
    registry.formats.cache_clear()
    sys.modules.pop("sklearn_json", None)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.json"
    path.write_text(json.dumps(MODEL))
    return path


def test_it_is_found_and_runs(installed, model):
    runtime = registry.make("sklearn-json", RuntimeSettings())
    runtime.load(str(model))
    scores = runtime.run({"features": [[3, 10]]})["scores"]
    assert scores.tolist() == [[1, 2, 8]]
    assert "sklearn-json" in [one.format for one in registry.installed(RuntimeSettings())]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"mean": "x"}'])
def test_a_damaged_model_is_its_own_fault(installed, model, text):
    model.write_text(text)
    with pytest.raises(ProofError, match="the model cannot be loaded"):
        registry.make("sklearn-json", RuntimeSettings()).load(str(model))


@pytest.mark.slow
@pytest.mark.parametrize(("expected", "healthy"), [(8.0, True), (7.0, False)])
def test_its_models_are_proven_like_all_others(site, model, tmp_path, expected, healthy):
    golden = tmp_path / "golden.npz"
    np.savez(
        golden,
        **{
            "inputs/features": np.array([[3.0, 10.0], [1.0, 2.0]]),
            "outputs/scores": np.array([[1.0, 2.0, expected], [0.0, 0.0, 5.0]]),
        },
    )
    assert archives.is_archive(str(golden))
    rule = {"judge": "elements", "absolute": {"any": 1000}}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "modelwave_agent.host.prove", "--format", "sklearn-json"),
            *("--model", model, "--golden", golden),
            *("--tolerance", json.dumps({"kind": "tensors", "outputs": {"scores": rule}})),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        capture_output=True,
        check=True,
    )
    verdict = json.loads(done.stdout)
    assert (verdict["healthy"], verdict["runtime"]) == (healthy, "sklearn-json")
