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
        "enrolment",
        "a whole fleet is enrolled in one call, all or nothing",
        ("tests/controller/test_enrolment.py",),
    ),
    Sweep(
        "broker",
        "with the files as made, each user reads and writes its own topics alone",
        ("tests/controller/test_broker_access.py",),
    ),
    Sweep(
        "signatures",
        "what is accepted as an Ed25519 signature, on both interpreters",
        ("tests/test_ed25519_vectors.py", "tests/trust/test_signatures.py"),
    ),
    Sweep(
        "root chains",
        "which roots may follow one another: python-tuf is asked too",
        ("tests/trust/test_root_chains.py",),
    ),
)
