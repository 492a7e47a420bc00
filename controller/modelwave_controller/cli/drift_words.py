"""Says how far the classes that canaries predict differ from those of controls."""

from modelwave_controller.cli.amounts import percent
from modelwave_controller.results.rollouts import DriftRow

JUDGES_NOTHING = "this judges nothing"


def line(row: DriftRow) -> str:
    return (
        f"predicted classes in stage {row.stage}, {row.target}: {differ(row)} "
        f"({moved(row)}); {JUDGES_NOTHING}"
    )


def differ(row: DriftRow) -> str:
    return (
        f"{percent(row.distance)} of {row.canaries:,} predictions of canaries differ from "
        f"{row.controls:,} of controls"
    )


def moved(row: DriftRow) -> str:
    """Names the classes that moved most."""
    found = (
        f"{one.name} {percent(one.canaries)} beside {percent(one.controls)}" for one in row.moved
    )
    return ", ".join(found) or "no class moved"
