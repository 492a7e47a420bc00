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
    Sweep(
        "power cuts",
        "the walk to a new root is cut at every write, on hosts and on boards",
        (
            "tests/agent/test_root_power_cuts.py",
            "tests/board/test_power_cuts_on_flash.py",
            "-k",
            "root",
        ),
    ),
    Sweep(
        "views",
        "what a broker withholds, freezes or repeats is seen or refused",
        (
            "tests/agent/test_view.py",
            "tests/controller/test_heartbeats.py",
            "tests/controller/test_withheld.py",
        ),
    ),
    Sweep(
        "forged reports",
        "whoever has the broker opens no gate and takes nothing back",
        ("tests/controller/test_proven.py", "tests/e2e/test_forger.py"),
    ),
    Sweep(
        "stolen keys",
        "keys are stolen and lost, and no device takes what a thief signs",
        ("tests/agent/test_stolen_order_key.py", "tests/e2e/test_stolen_keys.py"),
    ),
)
