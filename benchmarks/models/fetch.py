"""Fetches the wheels with pip, pinned by their hashes, and takes the models out of them.

It takes wheels only: pip builds nothing, so no code of a package runs here. What was fetched once
is checked by its sha256 and needs no network again."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from benchmarks.models.corpus import Wheel, digest

SECONDS = 600  # for one wheel
PLATFORMS = ("manylinux2010", "manylinux2014", "manylinux_2_28", "manylinux_2_35")


class NotFetched(Exception):
    """The reason, in one line."""


def fetch(wheels: list[Wheel], cache: Path) -> dict[str, str]:
    """Fetches what `cache` does not hold yet. Returns why, for each model that is missing after
    that, by its name."""
    cache.mkdir(parents=True, exist_ok=True)
    missing: dict[str, str] = {}
    for wheel in wheels:
        wanted = [model for model in wheel.models if not model.is_fetched(cache)]
        if not wanted:
            continue
        print(f"fetching {wheel.requirement}", flush=True)
        try:
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _take_out(_download(wheel, Path(folder)), wheel, cache)
        except NotFetched as error:
            missing |= {model.name: f"{wheel.requirement}: {error}" for model in wanted}
    return missing


def _download(wheel: Wheel, folder: Path) -> Path:
    pinned = folder / "pinned.txt"
    pinned.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n")
    abi = "cp" + wheel.python.replace(".", "")
    abis = [abi + "m"] if wheel.python == "3.6" else [abi, "abi3", "none"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary=:all:", "--python-version", wheel.python, "--implementation", "cp"]
    command += [part for name in abis for part in ("--abi", name)]
    command += [part for name in PLATFORMS for part in ("--platform", f"{name}_x86_64")]
    command += ["--platform", "any", "--dest", str(folder), "--requirement", str(pinned)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotFetched(f"pip took more than {SECONDS} seconds") from error
    found = list(folder.glob("*.whl"))
    if done.returncode or not found:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise NotFetched((errors or [f"pip ended with {done.returncode}"])[-1])
    return found[0]


def _take_out(archive: Path, wheel: Wheel, cache: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for model in wheel.models:
            part = archive.parent / model.name
            try:
                part.write_bytes(opened.read(model.path))
            except KeyError as error:
                raise NotFetched(f"the wheel has no {model.path}") from error
            if digest(part) != model.sha256:
                raise NotFetched(f"{model.path} is not the pinned file")
            part.replace(model.file(cache))
