"""The OpenAPI 3.1 document of all calls, from their models."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from modelwave_controller.api import fleet
from modelwave_controller.api.call import OCTETS, PREFIX, Call
from modelwave_controller.api.every import CALLS
from modelwave_controller.api.problem import MEDIA_TYPE, TITLES, Problem
from modelwave_shared import checkout

_REF = "#/components/schemas/{model}"
AnyCall = Call[Any, Any]


def document(prefix: str = "") -> dict[str, Any]:
    """Returns the document; `prefix`: where a reverse proxy has put the service."""
    schemas = GenerateJsonSchema(ref_template=_REF)
    inputs: list[Any] = []
    for call in (*CALLS, fleet.STREAM):
        inputs.append((call.name, "validation", call.asks.__pydantic_core_schema__))
        inputs.append((call.name, "serialization", call.answer.core_schema))
    inputs.append(("problem", "serialization", Problem.__pydantic_core_schema__))
    found, definitions = schemas.generate_definitions(inputs)
    paths: dict[str, Any] = {}
    for call in (*CALLS, fleet.STREAM):
        asks = _resolved(found[(call.name, "validation")], definitions)
        answers = found[(call.name, "serialization")]
        paths.setdefault(PREFIX + call.path, {})[call.method.lower()] = _operation(
            call, asks, answers, found[("problem", "serialization")]
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "modelwave",
            "version": checkout.described(),
            "description": "What an operator can ask of a controller. Signing of releases is not "
            "part of it: release keys stay where they are.",
        },
        "servers": [{"url": prefix or "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(call: AnyCall, asks: Any, answers: Any, problem: Any) -> dict[str, Any]:
    properties: dict[str, Any] = asks.get("properties", {})
    required = asks.get("required", [])
    elsewhere = [name for name in properties if name not in call.in_path]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": properties[name]}
        for name in call.in_path
    ]
    if not call.has_body:
        parameters += [
            {"name": n, "in": "query", "required": n in required, "schema": properties[n]}
            for n in elsewhere
        ]
    operation: dict[str, Any] = {
        "operationId": call.name,
        "tags": [call.group],
        "summary": call.summary,
        "description": f"Permission: {call.needs}.",
        "parameters": parameters,
        "responses": {"200": _done(call, answers)}
        | {
            str(status): {"description": title, "content": {MEDIA_TYPE: {"schema": problem}}}
            for status, title in TITLES.items()
        },
    }
    if call.sends:
        operation["requestBody"] = {
            "description": f"{call.sends.what} At most {call.sends.most} bytes.",
            "required": True,
            "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
        }
    elif call.has_body:
        body = {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: properties[name] for name in elsewhere},
            "required": [name for name in elsewhere if name in required],
        }
        operation["requestBody"] = {
            "required": bool(body["required"]),
            "content": {"application/json": {"schema": body}},
        }
    return operation


def _done(call: AnyCall, answers: Any) -> dict[str, Any]:
    if call is not fleet.STREAM:
        return {"description": "Done.", "content": {"application/json": {"schema": answers}}}
    said = "Events without end. The data of each is JSON, a LogEntry; its id is the event's."
    return {"description": said, "content": {"text/event-stream": {"schema": {"type": "string"}}}}


def _resolved(schema: dict[str, Any], definitions: dict[Any, Any]) -> dict[str, Any]:
    """Returns the schema itself in place of a reference to it."""
    reference = schema.get("$ref")
    return definitions[reference.rpartition("/")[2]] if reference else schema
