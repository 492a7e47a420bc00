"""The program of one device: it runs each of its models once a release of it serves.

    PYTHON -m benchmarks.models.serving CONFIG JOBS ANSWERS

The folder JOBS has NAME.npz for each model, with `inputs/TENSOR`, one record after the other. The
program writes NAME.npz with `outputs/TENSOR` into ANSWERS, or NAME.error with the reason, and runs
until it is ended."""

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from modelwave_agent.host import HostAgent

INPUTS, OUTPUTS = "inputs/", "outputs/"
PAUSE_SECONDS = 0.1


def main(config: str, jobs: Path, results: Path) -> None:
    waiting = {path.stem: path for path in jobs.glob("*.npz")}
    with HostAgent.from_config(config) as agent:
        while True:
            agent.check()
            for model in [model for model in waiting if agent.live(model)]:
                answer(agent, model, waiting.pop(model), results)
            time.sleep(PAUSE_SECONDS)


def answer(agent: HostAgent, model: str, job: Path, results: Path) -> None:
    part = results / "part.npz"
    try:
        found = [agent.run(model, record) for record in records(job)]
    except Exception as error:  # of the model or its runtime: the table says it
        part.write_text(f"{type(error).__name__}: {error}")
        part.replace(results / f"{model}.error")
    else:
        np.savez(part, **{f"{OUTPUTS}{k}": np.stack([one[k] for one in found]) for k in found[0]})
        part.replace(results / f"{model}.npz")


def records(job: Path) -> list[dict[str, Any]]:
    """Returns the inputs of each inference by name."""
    with np.load(job, allow_pickle=False) as given:
        names = [name for name in given.files if name.startswith(INPUTS)]
        inputs = {name.removeprefix(INPUTS): given[name] for name in names}
    count = len(next(iter(inputs.values())))
    return [{name: np.asarray(array[n]) for name, array in inputs.items()} for n in range(count)]


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
