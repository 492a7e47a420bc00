"""Releases with a real model on a world's shelf, for a board and a host."""

import hashlib
from typing import Any

from modelwave_shared import golden
from tests.controller.rollout_world import TARGET, World
from tests.models import small_models

BOARD = "stm32f746"


def shelve_keywords(world: World, number: int, accuracy_ppm: int) -> dict[str, Any]:
    """Shelves a release of digits whose model hears keywords, with its files. Returns what its
    manifest has in place of World's, to start it."""
    sets = golden.pack(
        golden.LABELS, "b", ("b", 12), [bytes([n]) * 490 for n in range(64)], [0] * 64
    )
    files = [_file(world, "model", small_models.keywords()), _file(world, "golden", sets)]
    signed = {
        "files": files,
        "needs": {
            "flash": sum(file["size"] for file in files),
            "ram": 24 * 1024,
            "kernels": ["AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "SOFTMAX"],
            "runtime": "tflite",
            "accelerator": "",
        },
        "lineage": {
            "dataset": "spoken words of 2026",
            "metrics": {"accuracy_ppm": accuracy_ppm, "accuracy_n": 4000, "epochs": 12},
            "quantisation": "int8",
        },
    }
    world.shelve(number, (BOARD, TARGET), **signed)
    return signed


def _file(world: World, role: str, data: bytes) -> dict[str, Any]:
    sha256 = hashlib.sha256(data).hexdigest()
    world.home.files.mkdir(exist_ok=True)
    (world.home.files / sha256).write_bytes(data)
    return {"role": role, "sha256": sha256, "size": len(data)}
