"""Reads reports as quick_json.py and modelwave_shared.reports do, in one pass in compiled code: the
controller reads one of each device every 15 minutes, and as many as there are devices in a wave.

pydantic-core has a reader of JSON that checks fields as it meets them. Its description of a
document is made here from the rules themselves, so that each field is still defined once. What it
takes, the rules take too, with the same value. Whatever looks unusual, or is not valid, goes to
them, and they read it or say what is wrong:

    a byte that is not printable ASCII    a backslash
    "-0", also in a text                  a duplicate key: there are more quotation marks than the
    all that is not valid                 value has texts
"""

from collections.abc import Callable
from typing import Any

from pydantic_core import CoreConfig, CoreSchema, SchemaValidator, ValidationError, core_schema

from modelwave_shared import fields, reports, schema
from modelwave_shared.limits import MAX_NAME, MAX_TEXT
from modelwave_shared.rules import Integer, ListOf, MapOf, Object, OneOf
from modelwave_shared.words import READS, REPORT

# What the rules of texts allow, if there are only printable ASCII characters. The validator's
# patterns are searched for: each has both ends.
_TEXTS: dict[Any, CoreSchema] = {
    fields.text: core_schema.str_schema(max_length=MAX_TEXT),
    fields.name: core_schema.str_schema(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=MAX_NAME),
    fields.sha256: core_schema.str_schema(pattern=r"^[0-9a-f]{64}$"),
    schema.sha256_or_empty: core_schema.str_schema(pattern=r"^([0-9a-f]{64})?$"),
    schema.token_or_empty: core_schema.str_schema(
        pattern=r"^[A-Za-z0-9_.+/=>-]*$", max_length=MAX_NAME
    ),
}


def report(data: bytes) -> Any:
    """Returns the value of a report in `data`, checked; None if it is to be read by
    quick_json.loads and `reports.check`, which know why it is none."""
    if not _is_plain(data):
        return None
    try:
        value = _REPORT.validate_json(data, strict=True)
    except ValidationError:
        return None
    return value if 2 * _texts(value) == data.count(b'"') else None


def _is_plain(data: bytes) -> bool:
    if b"\\" in data or b"-0" in data or not data.isascii():
        return False
    return data.decode("ascii").isprintable()


def _texts(value: dict[str, Any] | list[Any]) -> int:
    """Returns the number of texts in the value, with the keys of objects."""
    entries: Any = value.values() if type(value) is dict else value
    found = len(value) if type(value) is dict else 0
    for entry in entries:
        kind = type(entry)
        if kind is str:
            found += 1
        elif kind is dict or kind is list:
            found += _texts(entry)
    return found


def _schema(rule: Any, where: str) -> CoreSchema:
    """Returns the description of what the rule allows; that of a rule which this program does not
    know calls it."""
    if rule in _TEXTS:
        return _TEXTS[rule]
    match rule:
        case Integer():
            return core_schema.int_schema(ge=rule.least, le=rule.most)
        case OneOf():
            return core_schema.literal_schema(list(rule.words))
        case Object():
            every = {**rule.fields, **rule.optional}
            described = {
                name: core_schema.typed_dict_field(
                    _schema(its, f"{where}.{name}"), required=name in rule.fields
                )
                for name, its in every.items()
            }
            return core_schema.typed_dict_schema(described, extra_behavior="forbid")
        case ListOf():
            entry = _schema(rule.rule, where)
            return core_schema.list_schema(entry, min_length=rule.least, max_length=rule.most)
        case MapOf():
            return core_schema.dict_schema(
                _schema(rule.key_rule, where),
                _schema(rule.rule, where),
                min_length=rule.least,
                max_length=rule.most,
            )
    return _asking(rule, where)


def _asking(rule: Callable[[Any, str], None], where: str) -> CoreSchema:
    def asked(value: Any) -> Any:
        rule(value, where)
        return value

    return core_schema.no_info_after_validator_function(asked, core_schema.any_schema())


def _validator(kind: str) -> SchemaValidator:
    its = reports.KINDS[kind]
    assert its.between is None, "conditions between fields are not described"
    rule = Object(its.rule.fields, {**its.rule.optional, "v": Integer(1, READS[kind])})
    return SchemaValidator(_schema(rule, kind), CoreConfig(cache_strings="all"))


_REPORT = _validator(REPORT)
