"""The sweeps of `make trust`: a row for each. To add one, write tests that do a part of their cases
in an ordinary run and all of them with MODELWAVE_LONG=1, let them `tell` their figures, and add a
row."""

from typing import NamedTuple


class Sweep(NamedTuple):
    """`tests` are files, folders or node ids of pytest, and other arguments for it such as -k."""

    name: str
    about: str
    tests: tuple[str, ...]


SWEEPS = (
    Sweep(
        "signatures",
        "what is accepted as an Ed25519 signature, on both interpreters",
        ("tests/test_ed25519_vectors.py", "tests/trust/test_signatures.py"),
    ),
)
