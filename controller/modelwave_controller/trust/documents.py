"""The documents of modelwave_shared.documents, described a second time as pydantic models.

The operator's side works with typed values, devices with checked dicts. Both readings take
exactly the same documents (tests/controller/test_documents_agree.py holds them together),
so nothing is signed here that a device would not understand, and the other way round.
`read_*` parses bytes with the strict JSON reader of the wire; `document()` is the value
to sign.
"""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from modelwave_controller.errors import OperatorError
from modelwave_shared import dsse, limits, strict_json
from modelwave_shared.errors import DocumentError
from modelwave_shared.words import FILE_ROLES, FORMATS, OUTCOMES, STATES


def _word(pattern: str) -> StringConstraints:
    return StringConstraints(strict=True, pattern=f"^(?:{pattern})$")


def _whole(low: int, high: int) -> Any:
    return Field(strict=True, ge=low, le=high)


def _listed(low: int, high: int) -> Any:
    return Field(min_length=low, max_length=high)


# One character of a URL's path, and of its host and port: no user:password@ before them.
_URL_PATH = r"[!$%&'()*+,\-./0-9:;=@A-Z\[\]_a-z~]"
_URL_START = r"[!$%&'()*+,\-.0-9;=A-Z\[\]_a-z~]"  # a host, so no port yet
_URL_HOST = r"[!$%&'()*+,\-.0-9:;=A-Z\[\]_a-z~]"
_TOKEN = rf"[A-Za-z0-9_.\-+/>=]{{1,{limits.MAX_NAME}}}"
_HEX64 = "[0-9a-f]{64}"

Name = Annotated[str, _word(rf"[a-z0-9][a-z0-9_\-]{{0,{limits.MAX_NAME - 1}}}")]
Token = Annotated[str, _word(_TOKEN)]
TokenOrEmpty = Annotated[str, _word(f"|{_TOKEN}")]
Sha256 = Annotated[str, _word(_HEX64)]
Sha256OrEmpty = Annotated[str, _word(f"|{_HEX64}")]
Keyid = Annotated[str, _word("[0-9a-f]{8}")]
# One line, left to right: no control characters, no line or direction marks, no surrogates,
# nothing past U+FFFD.
Text = Annotated[
    str,
    _word("[ -~\u00a0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd]*"),
    Field(max_length=limits.MAX_TEXT),
]
Url = Annotated[
    str,
    _word(f"https?://{_URL_START}{_URL_HOST}*(?:/{_URL_PATH}*)?"),
    Field(max_length=limits.MAX_URL_CHARACTERS),
]

FileRole = Annotated[str, _word("|".join(FILE_ROLES))]
Format = Annotated[str, _word("|".join(FORMATS))]
State = Annotated[str, _word("|".join(STATES))]
OutcomeOrEmpty = Annotated[str, _word("|".join(("", *OUTCOMES)))]

Count = Annotated[int, _whole(0, limits.MAX_SEQ)]
Bytes = Annotated[int, _whole(0, limits.MAX_BYTES)]
FileBytes = Annotated[int, _whole(1, limits.MAX_BYTES)]
Release = Annotated[int, _whole(1, limits.MAX_EPOCH)]
ReleaseOrNone = Annotated[int, _whole(0, limits.MAX_EPOCH)]
Epoch = Annotated[int, _whole(0, limits.MAX_EPOCH)]
Seq = Annotated[int, _whole(1, limits.MAX_SEQ)]
Time = Annotated[int, _whole(0, limits.MAX_TIME)]
Ppm = Annotated[int, _whole(0, 1_000_000)]
Slot = Annotated[int, _whole(0, limits.SLOTS - 1)]


def _no_branch(target: str) -> str:
    if target == "device":
        raise ValueError("any target but device, which names a branch of the topics")
    return target


def _rising(slots: list[int]) -> list[int]:
    if slots[0] > slots[1]:
        raise ValueError("first slot, last slot: the first is not above the last")
    return slots


Target = Annotated[Name, AfterValidator(_no_branch)]
SlotRange = Annotated[list[Slot], _listed(2, 2), AfterValidator(_rising)]


class Document(BaseModel):
    """Exact types, exactly these fields, never changed once read."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    def document(self) -> dict[str, Any]:
        """As it is signed: fields that were not given stay away."""
        return self.model_dump(exclude_unset=True)


class Role(Document):
    keyids: Annotated[list[Keyid], _listed(1, limits.MAX_KEYS)]
    threshold: Annotated[int, _whole(1, limits.MAX_SIGNATURES)]


class Roles(Document):
    root: Role
    release: Role
    order: Role


class Root(Document):
    v: Release
    fleet: Name
    epoch: Epoch
    keys: Annotated[dict[Keyid, Sha256], _listed(1, limits.MAX_KEYS)]
    roles: Roles
    minimum: Annotated[dict[Name, Release], _listed(0, limits.MAX_MODELS)]

    @model_validator(mode="after")
    def _keys_and_thresholds(self) -> Self:
        for keyid, public in self.keys.items():
            if dsse.keyid(bytes.fromhex(public)) != keyid:
                raise ValueError(f"keys.{keyid}: not the id of its key")
        for name in Roles.model_fields:
            role: Role = getattr(self.roles, name)
            if len(set(role.keyids)) != len(role.keyids):
                raise ValueError(f"roles.{name}.keyids: a key stands twice")
            if not set(role.keyids) <= set(self.keys):
                raise ValueError(f"roles.{name}.keyids: not all in keys")
            if role.threshold > len(role.keyids):
                raise ValueError(f"roles.{name}.threshold: more than there are keys")
        return self


class ReleaseFile(Document):
    role: FileRole
    sha256: Sha256
    size: FileBytes


class Needs(Document):
    flash: Bytes
    ram: Bytes
    kernels: Annotated[list[Token], _listed(0, limits.MAX_KERNELS)]
    runtime: Token
    accelerator: TokenOrEmpty


class LabelsTolerance(Document):
    kind: Literal["labels"]
    least_ppm: Ppm


class OutputsTolerance(Document):
    kind: Literal["outputs"]
    steps: Annotated[dict[Token, Count], _listed(1, 8)]


class Lineage(Document):
    dataset: Text
    metrics: Annotated[
        dict[Token, Annotated[int, _whole(-limits.MAX_SEQ, limits.MAX_SEQ)]], _listed(0, 8)
    ]
    quantisation: Text


class Delta(Document):
    base: Sha256
    sha256: Sha256
    size: FileBytes


class Manifest(Document):
    fleet: Name
    model: Name
    release: Release
    version: Text
    target: Target
    format: Format
    files: Annotated[list[ReleaseFile], _listed(2, limits.MAX_FILES)]
    needs: Needs
    tolerance: Annotated[LabelsTolerance | OutputsTolerance, Discriminator("kind")]
    lineage: Lineage
    forced: Text
    deltas: Annotated[list[Delta], _listed(0, limits.MAX_DELTAS)]

    @model_validator(mode="after")
    def _files_and_flash(self) -> Self:
        roles = [file.role for file in self.files]
        if len(set(roles)) != len(roles) or not {"model", "golden"} <= set(roles):
            raise ValueError("files: one model, one golden, at most one labels")
        if self.needs.flash < sum(file.size for file in self.files):
            raise ValueError("needs.flash: less than its files have")
        return self

    def file(self, role: str) -> ReleaseFile | None:
        return next((file for file in self.files if file.role == role), None)


class Trial(Document):
    seconds: Annotated[int, _whole(0, limits.MAX_TRIAL_SECONDS)]
    inferences: Annotated[int, _whole(0, limits.MAX_TRIAL_INFERENCES)]


class Order(Document):
    fleet: Name
    target: Target
    model: Name
    epoch: Epoch
    seq: Seq
    slots: Annotated[list[SlotRange], _listed(1, limits.MAX_SLOT_RANGES)] | None = None
    device: Name | None = None
    manifest: Sha256
    urls: Annotated[list[Url], _listed(1, limits.MAX_URLS)]
    issued: Time
    expires: Time
    trial: Trial
    shadow: bool

    @model_validator(mode="after")
    def _for_whom_and_how_long(self) -> Self:
        # None means absent; a null on the wire is neither slots nor a device.
        given = {"slots", "device"} & self.model_fields_set
        if len(given) != 1 or getattr(self, next(iter(given))) is None:
            raise ValueError("slots: either slots or a device")
        if self.expires <= self.issued:
            raise ValueError("expires: not after issued")
        return self


class Free(Document):
    flash: Count
    ram: Count


class ModelState(Document):
    release: ReleaseOrNone
    sha256: Sha256OrEmpty
    state: State
    epoch: Epoch
    seq: Count
    outcome: OutcomeOrEmpty
    reason: Text


class Report(Document):
    boot: Count
    n: Count
    target: Target
    agent: Text
    free: Free
    runtime: TokenOrEmpty
    runtime_version: TokenOrEmpty
    accelerator: TokenOrEmpty
    refused: Text
    models: Annotated[dict[Name, ModelState], _listed(0, limits.MAX_MODELS)]


class Metrics(Document):
    boot: Count
    n: Count
    model: Name
    release: ReleaseOrNone
    inferences: Count
    failures: Count
    labelled: Count
    correct: Count


MODELS: dict[str, type[Document]] = {
    "root": Root,
    "manifest": Manifest,
    "order": Order,
    "report": Report,
    "metrics": Metrics,
}

D = TypeVar("D", bound=Document)


def read(model: type[D], payload: bytes) -> D:
    """The document in `payload`. Raises ValueError (JsonError, ValidationError)."""
    return model.model_validate(strict_json.loads(payload))


def first_problem(error: ValidationError) -> str:
    """ "broker.url: Input should be a valid string": the first field that is wrong."""
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def require(check: Any, value: object, where: str) -> None:
    """Holds an operator's argument against one of modelwave_shared.fields' checks. Raises
    OperatorError, which starts with `where`."""
    try:
        check(value, where)
    except DocumentError as error:
        raise OperatorError(str(error)) from error
