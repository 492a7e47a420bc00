"""What is shown of models: their releases beside each other, and where one release stands."""

from dataclasses import dataclass

from modelwave_controller.results.releases import HeldOut

YES, NO, UNKNOWN = "yes", "no", "unknown"  # whether a release fits a target


@dataclass(frozen=True)
class ReleaseLine:
    """A release in the list of its model's. `held_out`: its metrics, by name, for the first of its
    targets. `forced`: why it was released although it failed a check, `trouble`: why devices refuse
    it now, or "". `devices`: that run it."""

    release: int
    version: str
    targets: list[str]
    held_out: dict[str, HeldOut]
    forced: str
    trouble: str
    devices: int


@dataclass(frozen=True)
class ModelReleases:
    """`releases`: how many there are; `newest`: some of them, the newest first; `older`: others
    follow these."""

    model: str
    releases: int
    newest: list[ReleaseLine]
    older: bool


@dataclass(frozen=True)
class Room:
    """Bytes that a release needs, and that a target leaves for it; None: each device knows it
    itself."""

    needs: int
    has: int | None


@dataclass(frozen=True)
class ComparedMetric:
    """A metric less that of an older release, a share, with its interval of 95 %. `worse`: the
    interval lies wholly below 0."""

    name: str
    difference: float
    least: float
    most: float
    worse: bool


@dataclass(frozen=True)
class Standing:
    """A release for one target. `fits`: YES, NO, or UNKNOWN where the home does not know the
    target; `missing` says what it lacks. Of the target's devices that report the model, which are
    `of`, `devices` run this release. `golden` says in words what its golden set asks. `base`: the
    release before it for the target, 0: none; `signers`: the ids of the keys of the newest root
    that have signed it."""

    target: str
    sha256: str  # of the manifest
    description: str
    flash: Room
    ram: Room
    fits: str
    missing: list[str]
    devices: int
    of: int
    golden: str
    base: int
    compared: list[ComparedMetric]
    signers: list[str]


@dataclass(frozen=True)
class Arena:
    """A board's arena over time while the model runs, as a picture: an SVG document. `why`: there
    is none, and the reason."""

    target: str
    profile: str
    svg: str
    why: str
