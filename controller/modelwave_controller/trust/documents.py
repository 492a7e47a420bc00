"""Typed views of documents that modelwave_shared has checked.

The fields of a document and their rules are defined once, in modelwave_shared (.roots, .manifests,
.orders, .reports). The classes here only give each field its type for mypy; `view` makes an
instance from a checked dict. They leave out fields that the controller does not use.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

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
    optional field that is absent gets the default of the class.

    It puts the fields where the instance keeps them: a frozen class's __init__ calls a function for
    each, and the controller makes two of these of each report."""
    names, made, absent = _fields_of(cls)  # type: ignore[arg-type]  # a class is hashable
    found = object.__new__(cls)
    its = found.__dict__
    its.update(document)
    for name in its.keys() - names:
        del its[name]
    for name, make in made:
        if name in its:
            its[name] = make(its[name])
    for name, default in absent:
        if name not in its:
            its[name] = default()
    return found


Maker = Callable[[Any], Any]


@cache
def _fields_of(
    cls: Any,
) -> tuple[frozenset[str], list[tuple[str, Maker]], list[tuple[str, Callable[[], Any]]]]:
    """Returns the names of the fields, how those are made that a document has otherwise, and the
    defaults of fields that may be absent."""
    types = get_type_hints(cls)
    makers = {one.name: _maker(types[one.name]) for one in fields(cls)}
    made = [(name, maker) for name, maker in makers.items() if maker is not None]
    absent = [(one.name, _default(one)) for one in fields(cls) if _may_be_absent(one)]
    return frozenset(makers), made, absent


def _may_be_absent(one: Field[Any]) -> bool:
    return one.default is not MISSING or one.default_factory is not MISSING


def _default(one: Field[Any]) -> Callable[[], Any]:
    if one.default_factory is not MISSING:
        return one.default_factory
    return lambda: one.default


def _maker(kind: Any) -> Maker | None:
    """Returns a function that converts the document's value to a field of type `kind`; None if it
    stays as it is."""
    if is_dataclass(kind) and isinstance(kind, type):
        return lambda value: view(kind, value)
    arguments = get_args(kind) if get_origin(kind) in (list, dict) else ()
    entry = _maker(arguments[-1]) if arguments else None
    if entry is None:
        return None
    make: Maker = entry
    if get_origin(kind) is list:
        return lambda value: [make(one) for one in value]
    return lambda value: {key: make(one) for key, one in value.items()}


def of_our_format(kind: str, document: dict[str, Any], v: int = 1) -> dict[str, Any]:
    """Returns the document with its format version: `v`, but at least the lowest that this program
    writes. Version 1 is left out, because the first agents refuse the field."""
    v = max(v, WRITES[kind])
    return document | ({"v": v} if v > 1 else {})
