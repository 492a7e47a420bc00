"""Lists what others build on: documents, words, limits, topics, events, plans, settings, commands
and calls of the API. Each list is {name: what is said of it}; kept.py compares those of today with
the ones of a release."""

import inspect
from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter
from typer.main import get_command

from modelwave_controller.cli import whole_application
from modelwave_controller.home import ControllerConfig
from modelwave_controller.rollout import statuses
from modelwave_controller.rollout.events import Body
from modelwave_controller.rollout.plan import Plan
from modelwave_controller.storage import migrate
from modelwave_controller.web import openapi
from modelwave_shared import heartbeats, limits, manifests, orders, reports, roots, topics, words
from modelwave_shared.rules import ListOf, MapOf, Object

Inventory = dict[str, dict[str, Any]]

REQUIRED, OPTIONAL, THERE = "required", "optional", "there"
SIGNED = (roots.KIND, manifests.KIND, orders.KIND, heartbeats.KIND)


def inventory() -> Inventory:
    return {
        "documents": dict(_documents()),
        "formats": dict(words.READS),
        "words": dict.fromkeys([*words.OUTCOMES, *words.STATES, *_constants(statuses)], THERE),
        "limits": {name: value for name, value in vars(limits).items() if name.isupper()},
        "topics": dict(_topics()),
        "migrations": dict.fromkeys(migrate.KNOWN, THERE),
        "events": dict(_events()),
        "plans": dict(_schema(TypeAdapter(Plan).json_schema())),
        "settings": dict(_schema(TypeAdapter(ControllerConfig).json_schema())),
        "commands": dict(_commands(get_command(whole_application()), "modelwave")),
        "calls": dict(_calls(openapi.document())),
    }


def _constants(module: Any) -> list[str]:
    return [value for name, value in vars(module).items() if name.isupper() and type(value) is str]


def _documents() -> Iterator[tuple[str, str]]:
    for kind in (*SIGNED, *reports.KINDS.values()):
        yield kind.kind, THERE
        yield from _fields(kind.kind, kind.rule)


def _fields(path: str, rule: Any) -> Iterator[tuple[str, str]]:
    """Every field that a rule knows, also within its objects, lists and maps."""
    if isinstance(rule, Object):
        for said, fields in ((REQUIRED, rule.fields), (OPTIONAL, rule.optional)):
            for name, one in fields.items():
                yield f"{path}.{name}", said
                yield from _fields(f"{path}.{name}", one)
    elif isinstance(rule, ListOf | MapOf):
        yield from _fields(f"{path}[]", rule.rule)


def _topics() -> Iterator[tuple[str, str]]:
    """Each topic, built of the names of its parts."""
    for name, build in inspect.getmembers(topics, inspect.isfunction):
        if name not in ("under", "parts"):
            parts = [f"<{part}>" for part in inspect.signature(build).parameters]
            yield name, build(*parts)


def _events() -> Iterator[tuple[str, str]]:
    """Each kind of event in the log, and its fields."""
    schema = TypeAdapter(Body).json_schema()
    kinds = schema["discriminator"]["mapping"]
    for kind, reference in kinds.items():
        yield kind, THERE
        found = {"$ref": reference, "$defs": schema["$defs"]}
        yield from ((f"{kind}.{name}", said) for name, said in _schema(found))


def _schema(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _properties(schema, schema.get("$defs", {}), ())


def _properties(schema: Any, models: Any, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Every field of a JSON schema; a model within itself is shown once."""
    if model := schema.get("$ref", "").rpartition("/")[2]:
        if model not in above:
            yield from _properties(models[model], models, (*above, model))
        return
    for name, one in schema.get("properties", {}).items():
        yield name, REQUIRED if name in schema.get("required", []) else OPTIONAL
        yield from ((f"{name}.{rest}", said) for rest, said in _properties(one, models, above))
    parts = [*schema.get("anyOf", []), *schema.get("oneOf", []), *schema.get("prefixItems", [])]
    for one in (*parts, schema.get("items"), schema.get("additionalProperties")):
        if isinstance(one, dict):
            yield from _properties(one, models, above)


def _commands(command: Any, path: str) -> Iterator[tuple[str, str]]:
    """Each command, and each of its options and arguments."""
    yield path, THERE
    for parameter in command.params:
        for flag in _flags(parameter):
            yield f"{path} {flag}", REQUIRED if parameter.required else OPTIONAL
    for name, one in getattr(command, "commands", {}).items():
        yield from _commands(one, f"{path} {name}")


def _flags(parameter: Any) -> list[str]:
    if parameter.param_type_name == "argument":
        return [parameter.name.upper()]
    return [*parameter.opts, *parameter.secondary_opts]


def _calls(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each call, what it takes and what its answer has."""
    models = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            call = f"{method.upper()} {path}"
            yield call, THERE
            yield f"{call} takes", THERE
            for one in operation["parameters"]:
                yield f"{call} takes {one['name']}", REQUIRED if one["required"] else OPTIONAL
            if "requestBody" in operation:
                for name, said in _properties(_content(operation["requestBody"]), models, ()):
                    yield f"{call} takes {name}", said
            for name, _ in _properties(_content(operation["responses"]["200"]), models, ()):
                yield f"{call} answers {name}", THERE


def _content(said: dict[str, Any]) -> Any:
    [content] = said["content"].values()
    return content["schema"]
