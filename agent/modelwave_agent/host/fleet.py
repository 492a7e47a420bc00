"""Runs many agents in one process, for the demo and for load tests.

    python -m modelwave_agent.host.fleet --configs DIR [--inputs FILE.npz --every SECONDS]

It runs one agent for each *.toml in DIR, each with its own state, connection and interpreter.
With --inputs each agent runs its live models on labelled inputs, arrays `inputs` (N × the
model's input) and `labels` (N), and observes which outputs are right.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from modelwave_agent.host.agent import HostAgent
from modelwave_agent.host.config import read_config
from modelwave_agent.host.settings_reader import ConfigError
from modelwave_agent.ports import ProofError


def main() -> None:
    options = _parser().parse_args()
    try:
        paths = sorted(options.configs.glob("*.toml"))
        if not paths:
            raise ConfigError(
                f"--configs: {options.configs} has no *.toml; name a folder of agent.toml files"
            )
        samples = _samples(options.inputs) if options.inputs else []
        agents = [HostAgent(read_config(path), runs_models=bool(samples)) for path in paths]
    except (ConfigError, ProofError, OSError, ValueError, KeyError) as error:
        print(f"modelwave-agent: {error}", file=sys.stderr)
        sys.exit(2)
    asyncio.run(_live(agents, samples, options.every))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelwave_agent.host.fleet", description=__doc__)
    parser.add_argument("--configs", type=Path, required=True, help="folder of agent.toml files")
    parser.add_argument("--inputs", type=Path, help="labelled inputs, an .npz file")
    parser.add_argument("--every", type=float, default=1.0, help="seconds between inferences")
    return parser


def _samples(path: Path) -> list[tuple[bytes, int]]:
    import numpy

    with numpy.load(path, allow_pickle=False) as arrays:
        inputs, labels = arrays["inputs"], arrays["labels"]
    return [(one.tobytes(), int(label)) for one, label in zip(inputs, labels, strict=True)]


async def _live(agents: list[HostAgent], samples: list[tuple[bytes, int]], every: float) -> None:
    tasks = [asyncio.ensure_future(agent.run_forever()) for agent in agents]
    if samples:
        # Each starts at another input, so that together they use all.
        step = max(1, len(samples) // len(agents))
        for number, agent in enumerate(agents):
            shifted = samples[number * step :] + samples[: number * step]
            tasks.append(asyncio.ensure_future(_infer(agent, cycle(shifted), every)))
    work = asyncio.gather(*tasks)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        await asyncio.gather(*tasks, return_exceptions=True)


async def _infer(agent: HostAgent, samples: Iterator[tuple[bytes, int]], every: float) -> None:
    while True:
        await asyncio.sleep(every)
        for model in agent.settings.models:
            live = agent.live(model)
            if live is None:
                continue
            given, label = next(samples)
            try:
                right = _largest(agent.run(model, given)) == label
            except ProofError:
                continue  # observed as a failure
            agent.observe(model, inferences=0, labelled=1, correct=int(right), release=live.release)


def _largest(output: bytes) -> Any:
    """Returns the index of the largest of the int8 scores."""
    scores = memoryview(output).cast("b")
    return max(range(len(scores)), key=scores.__getitem__)


if __name__ == "__main__":
    main()
