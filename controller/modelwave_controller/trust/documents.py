"""Typed views of documents that modelwave_shared has checked.

The fields of a document and their rules are defined once, in modelwave_shared (.roots, .manifests,
.orders, .reports). The classes here only give each field its type for mypy; `view` makes an
instance from a checked dict. They leave out fields that the controller does not use.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from modelwave_controller.errors import OperatorError
from modelwave_shared.errors import DocumentError
from modelwave_shared.words import WRITES

T = TypeVar("T")


@dataclass(frozen=True)
class Role:
    keyids: list[str]
    threshold: int


@dataclass(frozen=True)
class Roles:
    root: Role
    release: Role
    order: Role


@dataclass(frozen=True)
class Root:
    fleet: str
    epoch: int
    keys: dict[str, str]
    roles: Roles
    minimum: dict[str, int]
    version: int = 1


@dataclass(frozen=True)
class ReleaseFile:
    role: str
    sha256: str
    size: int


@dataclass(frozen=True)
class ManifestNeeds:
    flash: int
    ram: int
    kernels: list[str]
    runtime: str
    accelerator: str


@dataclass(frozen=True)
class Lineage:
    dataset: str
    metrics: dict[str, int]
    quantisation: str


@dataclass(frozen=True)
class Manifest:
    fleet: str
    model: str
    release: int
    version: str
    target: str
    files: list[ReleaseFile]
    needs: ManifestNeeds
    tolerance: dict[str, Any]
    lineage: Lineage
    forced: str
    v: int = 1


@dataclass(frozen=True)
class Free:
    flash: int
    ram: int


@dataclass(frozen=True)
class ModelState:
    release: int
    sha256: str
    state: str
    epoch: int
    seq: int
    outcome: str
    reason: str
    tries: int = 0
    next_seconds: int = 0
    saved: int = 0  # bytes of the live release's download that a delta has spared


@dataclass(frozen=True)
class Report:
    boot: int
    n: int
    target: str
    agent: str
    free: Free
    runtime: str
    runtime_version: str
    accelerator: str
    refused: str
    models: dict[str, ModelState]
    reads: dict[str, int] = field(default_factory=dict)
    install: str = ""  # "": an agent from before there were install ids
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Metrics:
    boot: int
    n: int
    model: str
    release: int
    inferences: int
    failures: int
    labelled: int
    correct: int
    install: str = ""
    window: int = 0  # 0: an agent from before there were windows
    windows: int = 1
    seconds: int = 0  # 0: labels that came later than their window
    age_seconds: int = 0
    latency: dict[str, Any] = field(default_factory=dict)
    confidence: list[int] = field(default_factory=list)
    classes: dict[str, int] = field(default_factory=dict)
    classes_rest: int = 0
    numbers: dict[str, list[int]] = field(default_factory=dict)
    shadow: dict[str, int] = field(default_factory=dict)  # {}: the release answered

    @property
    def compared(self) -> int:
        """Of a release that ran beside the live one: its outputs that were compared."""
        return self.shadow.get("compared", 0)

    @property
    def agreed(self) -> int:
        return self.shadow.get("agreed", 0)


def view(cls: type[T], document: Mapping[str, Any]) -> T:
    """Returns an instance of `cls`, a class above, with the fields of a checked document. An
    optional field that is absent gets the default of the class."""
    makers = _makers(cls)  # type: ignore[arg-type]  # a class is hashable
    return cls(**{name: made(document[name]) for name, made in makers if name in document})


@cache
def _makers(cls: Any) -> list[tuple[str, Callable[[Any], Any]]]:
    types = get_type_hints(cls)
    return [(one.name, _maker(types[one.name])) for one in fields(cls)]


def _maker(kind: Any) -> Callable[[Any], Any]:
    """Returns a function that converts the document's value to a field of type `kind`."""
    if is_dataclass(kind) and isinstance(kind, type):
        return lambda value: view(kind, value)
    if get_origin(kind) is list:
        entry = _maker(get_args(kind)[0])
        return lambda value: [entry(one) for one in value]
    if get_origin(kind) is dict:
        entry = _maker(get_args(kind)[1])
        return lambda value: {key: entry(one) for key, one in value.items()}
    return lambda value: value


def of_our_format(kind: str, document: dict[str, Any], v: int = 1) -> dict[str, Any]:
    """Returns the document with its format version: `v`, but at least the lowest that this program
    writes. Version 1 is left out, because the first agents refuse the field."""
    v = max(v, WRITES[kind])
    return document | ({"v": v} if v > 1 else {})


def require(rule: Callable[[Any, str], None], value: object, where: str) -> None:
    """Checks an operator's argument with a rule of modelwave_shared. Raises OperatorError, whose
    message starts with `where`."""
    try:
        rule(value, where)
    except DocumentError as error:
        raise OperatorError(str(error)) from error
