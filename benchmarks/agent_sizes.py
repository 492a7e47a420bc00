"""How much of a disk the agent takes, by platform, as the table of docs/agent.md:

    python -m benchmarks.agent_sizes

pip installs the agent's wheel for each platform into a folder, with wheels alone. Where a package
has none for a platform, the row says so.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "3.11"
# By the machine's name in wheels, with the versions of the C library (glibc) that wheels need.
PLATFORMS = {"x86-64": "x86_64", "arm64": "aarch64", "armv7": "armv7l"}
GLIBC = ("2_17", "2_24", "2_28", "2_31", "2_34", "2_36")
EXTRAS = ("", "[tflite]", "[onnx]", "[tflite,onnx]")
MEGA = 1_000_000
NO_WHEEL = "No matching distribution found|ResolutionImpossible"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip("wheel", "--no-deps", "--wheel-dir", folder, str(ROOT / "agent"))
        [wheel] = Path(folder).glob("*.whl")
        print("| platform | " + " | ".join(f"`modelwave-agent{extra}`" for extra in EXTRAS) + " |")
        print("| --- |" + " ---: |" * len(EXTRAS))
        for platform, machine in PLATFORMS.items():
            tags = ["manylinux2014", *(f"manylinux_{version}" for version in GLIBC)]
            cells = [size(wheel, extra, [f"{tag}_{machine}" for tag in tags]) for extra in EXTRAS]
            print(f"| {platform} | {' | '.join(cells)} |", flush=True)


def size(wheel: Path, extra: str, tags: list[str]) -> str:
    with tempfile.TemporaryDirectory() as target:
        where = ["--target", target, "--python-version", PYTHON, "--only-binary=:all:"]
        for tag in tags:
            where += ["--platform", tag]
        if not pip("install", "--no-compile", *where, f"{wheel}{extra}"):
            return "no wheels"
        files = [path for path in Path(target).rglob("*") if path.is_file()]
        return f"{sum(path.stat().st_size for path in files) / MEGA:.0f} MB"


def pip(*arguments: str) -> bool:
    """Returns whether it could be done; no, if a package has no wheel."""
    command = [sys.executable, "-m", "pip", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and not re.search(NO_WHEEL, done.stderr):
        sys.exit(done.stderr)
    return not done.returncode


if __name__ == "__main__":
    main()
