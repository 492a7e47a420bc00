"""Measures time and memory of `modelwave model inspect` for a 4 MB file and one profile, compared
with reading and hashing the file twice.

    python benchmarks/inspection.py [--rounds N]

Each run is a process of its own. The command is timed with the interpreter's start, as a user
waits for it, and the analysis alone in a running process. The last line of the output has the
figures. The goal: 1.5 × reading and hashing twice + 300 ms, and a peak of 3 × the file's size
above the program's memory without a file."""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MEGABYTES = 4
UNITS = 2048
TWICE = "import hashlib, sys\nfor _ in 1, 2: hashlib.sha256(open(sys.argv[1], 'rb').read())"
ANALYSIS = """
import sys, time
from modelwave_controller.fit import analyse
start = time.perf_counter()
analyse(open(sys.argv[1], "rb").read(), "cortex-m4:cmsis-nn")
print(time.perf_counter() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="What looking into a 4 MB model costs.")
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large.tflite", Path(folder) / "small.tflite"
        large.write_bytes(dense(MEGABYTES * 2**20 // UNITS))
        small.write_bytes(dense(1))
        inspect = [sys.executable, "-m", "modelwave_controller", "model", "inspect", "--json"]
        inspect += ["--profile", "cortex-m4:cmsis-nn"]
        hashing = [sys.executable, "-c", TWICE]
        print(f"file: {large.stat().st_size:,} bytes, {rounds} rounds, medians")
        hashed = statistics.median(seconds([*hashing, str(large)]) for _ in range(rounds))
        bare = statistics.median(seconds([*hashing, "/dev/null"]) for _ in range(rounds))
        whole = statistics.median(seconds([*inspect, str(large)]) for _ in range(rounds))
        start = statistics.median(seconds([*inspect, str(small)]) for _ in range(rounds))
        inside = statistics.median(analysis(large) for _ in range(rounds))
        grown = peak([*inspect, str(large)]) - peak([*inspect, str(small)])
    twice = hashed - bare
    print(f"  reading and hashing twice          {1000 * twice:8.1f} ms (start taken off)")
    print(f"  inspect, as a person waits         {1000 * whole:8.1f} ms")
    print(f"  inspect of a model of 3 KB         {1000 * start:8.1f} ms: imports, mostly")
    print(f"  reading and analysing alone        {1000 * inside:8.1f} ms")
    print(f"  peak memory for the file's sake    {grown / 2**20:8.1f} MiB")
    print(
        f"inspect: {1000 * (whole - bare):.0f} ms beside an allowance of "
        f"{1000 * (1.5 * twice + 0.3):.0f} ms, analysis alone {1000 * inside:.0f} ms; "
        f"peak {grown / (MEGABYTES * 2**20):.2f} × the file"
    )


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def analysis(file: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", ANALYSIS, str(file)], check=True, capture_output=True
    )
    return float(done.stdout)


def peak(command: list[str]) -> int:
    """Returns the peak resident size, in bytes, of a command that a helper process runs and waits
    for."""
    program = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command], check=True, capture_output=True
    )
    return int(done.stdout) * 1024


def dense(wide: int) -> bytes:
    """Returns a FULLY_CONNECTED of UNITS × `wide` int8 weights."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.models.small_models import dense as model

    return model(units=UNITS, wide=wide)


if __name__ == "__main__":
    main()
