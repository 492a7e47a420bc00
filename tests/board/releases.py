"""Releases for boards, whose golden sets fit the runtime of programs/stand_in.py."""

import hashlib

from modelwave_shared import dsse, golden, words
from tests import signing
from tests.board.programs.stand_in import answer

INPUTS = [bytes([number] * 64) for number in range(16)]
RAM_BYTES = 256  # the stand-in takes no more


def release(number, model, healthy=True, target="rp2040", name="digits", **changes):
    """Release `number` with these bytes as its model. Not `healthy`: its golden set was made
    with another file."""
    digest = hashlib.sha256(model if healthy else b"another").digest()
    proof = golden.pack("o", "b", "b", INPUTS, [answer(digest, given) for given in INPUTS])
    files = [
        {"role": "model", "sha256": signing.sha(model), "size": len(model)},
        {"role": "golden", "sha256": signing.sha(proof), "size": len(proof)},
    ]
    needs = {"flash": len(model) + len(proof), "ram": RAM_BYTES, "kernels": []}
    made = signing.Release(
        number,
        model,
        target=target,
        files=files,
        needs={**needs, "runtime": "tflite", "accelerator": ""},
        **changes,
    )
    if name != made.document["model"]:
        made.document["model"] = name
        made.envelope = signing.envelope(words.MANIFEST, made.document, signing.RELEASE_KEY)
        made.digest = dsse.read(made.envelope).digest()
    made.files = {signing.sha(model): model, signing.sha(proof): proof}
    return made


def write_files(folder, *releases):
    """Their files, each under its sha256."""
    folder.mkdir(exist_ok=True)
    for one in releases:
        for name, data in one.files.items():
            (folder / name).write_bytes(data)
