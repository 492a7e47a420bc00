"""What is shown of a device's past: what it was ordered and answered, what it measured, and what
was done to it. Times are in Unix seconds."""

from dataclasses import dataclass

from modelwave_controller.results.log import LogEntry


@dataclass(frozen=True)
class DeviceOrder:
    """The newest order of a model that is for the device. `number` is as its reports name it, "1/7"
    in a later epoch than the first. `taken`: its last report names this order, or a newer one.
    `alone`: it is for this device only; `shadow`: to run the release beside the live one."""

    model: str
    release: int
    version: str
    rollout: int
    number: str
    taken: bool
    alone: bool
    shadow: bool


@dataclass(frozen=True)
class DeviceAnswer:
    """What it answered to one part of a rollout, such as "stage 2" or "revert": its newest answer
    there. `ordered_at` is when the order that it answers was signed, None if that is not stored;
    `outcome` "": the answer is awaited. `release` 0: the log does not say which."""

    ordered_at: float | None
    rollout: int
    part: str
    model: str
    release: int
    version: str
    number: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class DeviceWindow:
    """What it measured of a release in one window. `age_seconds`: since its end, by the rollout
    clock. `shadow`: the release ran beside the live one."""

    model: str
    release: int
    shadow: bool
    age_seconds: float
    seconds: int
    inferences: int
    failures: int
    labelled: int
    correct: int
    median_ms: float | None


@dataclass(frozen=True)
class DeviceHistory:
    """orders: what it should run now, by model
    answers: the newest first; `more_answers`: others are left out
    windows: of the last two days, by model, the newest last
    acts: what people did to it, and what the service noted of it, the newest first
    """

    device: str
    orders: list[DeviceOrder]
    answers: list[DeviceAnswer]
    more_answers: bool
    windows: list[DeviceWindow]
    acts: list[LogEntry]
