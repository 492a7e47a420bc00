"""What requests to the API say: a call's name on the first line, what its path names as JSON on the
second, its query as JSON on the third, and then the body."""

import json
from typing import Any

from modelwave_controller.api.every import CALLS
from modelwave_controller.errors import OperatorError
from modelwave_controller.web import said
from tests.fuzz.judging import require_line

_CALLS = {call.name.encode(): call for call in CALLS}


def body(data: bytes) -> bool:
    """What is taken can be kept and compared as JSON, and is taken from there as the same."""
    name, path, query, sent = (*data.split(b"\n", 3), b"", b"", b"")[:4]
    call = _CALLS.get(name)
    if call is None:
        return False
    try:
        found = said.read(call, _texts(path), list(_texts(query).items()), sent)
    except OperatorError as error:
        require_line(error)
        return False
    kept = found.model_dump_json()
    assert call.asks.model_validate_json(kept) == found
    return True


def _texts(data: bytes) -> dict[str, str]:
    """A path or a query has texts alone, in which a server has replaced what is no UTF-8."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    entries = found.items() if isinstance(found, dict) else ()
    texts = ((name, value) for name, value in entries if isinstance(value, str))
    return {name: value for name, value in texts if _is_text(name + value)}


def _is_text(value: str) -> bool:
    """No URL has half of a surrogate pair."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def body_seeds() -> list[bytes]:
    """Of each call the least that it may say, and of some all."""
    found = [_written(call.name, _path(call), {}, _least(call)) for call in CALLS]
    plan = {"stages": [{"percent": 100, "soak_seconds": 3600}], "gates": ["failures <= 0.01"]}
    started = {"model": "digits", "release": "1", "targets": ["linux-cpu"], "plan": plan, "seed": 5}
    listed = {"target": "linux-cpu", "limit": "5", "trouble": "true", "after": "pi-1"}
    whole = [
        _written("startRollout", {}, {}, started | {"start_at": 1.9e9, "supersede": "x"}),
        _written("listDevices", {}, listed, None),
        _written("retryRollout", {"rollout": "5"}, {}, {"devices": ["pi-1"], "reason": "again"}),
    ]
    return [one for one in (*found, *whole) if body(one)]


def _path(call: Any) -> dict[str, str]:
    return dict.fromkeys(call.in_path, "1")


def _least(call: Any) -> dict[str, Any] | None:
    """What a body has to say, with a value that suits most fields."""
    if not call.has_body:
        return None
    fields = call.asks.model_fields.items()
    wanted = [name for name, field in fields if field.is_required() and name not in call.in_path]
    suits: dict[str, Any] = {"devices": ["pi-1"], "role": "operator", "plan": {"stages": []}}
    return {name: suits.get(name, "1") for name in wanted}


def _written(name: str, path: Any, query: Any, said: Any) -> bytes:
    parts = [name, json.dumps(path), json.dumps(query), "" if said is None else json.dumps(said)]
    return "\n".join(parts).encode()
