"""Where TensorRT keeps the engines that it builds of a bank's model: `b.engine/` beside `b.model`.

An engine is built on the device, for its GPU and its versions, which takes minutes; it is part of
the bank, and is deleted with it. ONNX Runtime's documentation says that old engines must be removed
when its version, TensorRT's or the GPU changes, so each combination has a folder of its own, and
those of others are deleted."""

import ctypes
import hashlib
import re
import shutil
from contextlib import suppress
from pathlib import Path

ROOT = Path("/")
MODEL, ENGINE = ".model", ".engine"
KEY_CHARACTERS = 16
# TensorRT's library, the newest first; its number is the part of the version that counts.
LIBRARIES = tuple(f"libnvinfer.so.{major}" for major in (11, 10, 8))


def folder_of(model_path: str) -> Path | None:
    """Returns the folder for the engines of this model; None if it is in no bank."""
    if not model_path.endswith(MODEL):
        return None
    return Path(model_path.removesuffix(MODEL) + ENGINE)


def cache_for(folder: Path, runtime_version: str) -> Path:
    """Makes the folder for engines of this device's versions, and deletes those of others. Raises
    OSError."""
    parts = (runtime_version, tensorrt_version(), gpu())
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:KEY_CHARACTERS]
    for old in folder.iterdir() if folder.is_dir() else ():
        if old.name != key:
            shutil.rmtree(old)
    (folder / key).mkdir(parents=True, exist_ok=True)
    return folder / key


def tensorrt_version() -> str:
    """Returns the number that TensorRT gives itself, such as "100300"; "" if it is not there."""
    for library in LIBRARIES:
        with suppress(OSError, AttributeError):
            return str(ctypes.CDLL(library).getInferLibVersion())
    return ""


def gpu() -> str:
    """Returns the models of this device's GPUs, or the Jetson's; "" if neither is known."""
    described = sorted((ROOT / "proc/driver/nvidia/gpus").glob("*/information"))
    models = [re.search(r"^Model:\s*(.+)$", _text(path), re.M) for path in described]
    named = [found[1].strip() for found in models if found]
    return "; ".join(named) or _text(ROOT / "proc/device-tree/model").rstrip("\0")


def held_bytes(folder: Path) -> int:
    """Returns the bytes of all engines in `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
