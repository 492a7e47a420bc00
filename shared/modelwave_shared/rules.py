"""The rules that check the fields of documents.

A rule is called with a value and its path, such as "order.seq". If the value is not allowed, it
raises DocumentError, whose message has the path, the value and what is allowed:

    Integer(0, 9)                    an integer in that range
    OneOf("idle", "trial")           one of these words
    Object({"seq": rule}, {"device": rule})
                                     an object with all of the first fields, any of the second
                                     (optional) ones, and no other
    ListOf(rule, 1, 4)               a list of 1 to 4 entries
    MapOf(key_rule, rule, 1, 4)      an object as a map of 1 to 4 entries
    a function of value and path     fields.py has those of names, texts, URLs, …

The value comes from strict_json. Types must match exactly: true is not an integer.
"""

from modelwave_shared.errors import DocumentError, NewerFormatError
from modelwave_shared.limits import MAX_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Rule = Callable[[Any, str], None]

PRINTABLE = bytes(range(0x20, 0x7F)).decode()
FIELD_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
SHOWN_CHARACTERS = 40
SHOWN_NUMBER = 10**16


class Integer:
    def __init__(self, least: int, most: int) -> None:
        self.least = least
        self.most = most

    def __call__(self, value: "Any", where: str) -> None:
        if type(value) is not int or not self.least <= value <= self.most:
            allowed = "no integer from %d to %d" % (self.least, self.most)
            raise DocumentError(where, "%s is %s" % (shown(value), allowed))


class OneOf:
    def __init__(self, *words: str) -> None:
        self.words = words

    def __call__(self, value: "Any", where: str) -> None:
        if type(value) is not str or value not in self.words:
            allowed = ", ".join([word or '""' for word in self.words])
            raise DocumentError(where, "%s is none of %s" % (shown(value), allowed))


class Object:
    """Refuses an unknown field, as it may be a condition that this program cannot check."""

    def __init__(
        self, fields: "dict[str, Rule]", optional: "dict[str, Rule] | None" = None
    ) -> None:
        self.fields = fields
        self.optional = optional or {}

    def __call__(self, value: "Any", where: str) -> None:
        if type(value) is not dict:
            raise DocumentError(where, "%s is no object" % shown(value))
        for key in value:
            if key not in self.fields and key not in self.optional:
                # The field's name comes from outside, so it is shown only if it is harmless.
                known = "?" if key.strip(FIELD_LETTERS) else key[:MAX_NAME]
                raise NewerFormatError("%s.%s" % (where, known), "an unknown field")
        for key in self.fields:
            if key not in value:
                raise DocumentError("%s.%s" % (where, key), "missing")
            self.fields[key](value[key], "%s.%s" % (where, key))
        for key in self.optional:
            if key in value:
                self.optional[key](value[key], "%s.%s" % (where, key))


class ListOf:
    def __init__(self, rule: "Rule", least: int, most: int) -> None:
        self.rule = rule
        self.least = least
        self.most = most

    def __call__(self, value: "Any", where: str) -> None:
        if type(value) is not list:
            raise DocumentError(where, "%s is no list" % shown(value))
        _check_length(len(value), self.least, self.most, where)
        for index, entry in enumerate(value):
            self.rule(entry, "%s[%d]" % (where, index))


class MapOf:
    def __init__(self, key_rule: "Rule", rule: "Rule", least: int, most: int) -> None:
        self.key_rule = key_rule
        self.rule = rule
        self.least = least
        self.most = most

    def __call__(self, value: "Any", where: str) -> None:
        if type(value) is not dict:
            raise DocumentError(where, "%s is no object" % shown(value))
        _check_length(len(value), self.least, self.most, where)
        for key in value:
            self.key_rule(key, where)
            self.rule(value[key], "%s.%s" % (where, key))


def _check_length(length: int, least: int, most: int, where: str) -> None:
    if not least <= length <= most:
        raise DocumentError(where, "has %d entries, allowed are %d to %d" % (length, least, most))


def shown(value: "Any") -> str:
    """Returns the value for use in a message: short and in printable ASCII."""
    kind = type(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        short = -SHOWN_NUMBER < value < SHOWN_NUMBER
        return str(value) if short else "a number of more than 16 digits"
    if kind is str:
        if value.strip(PRINTABLE):
            return "a text with other characters than printable ASCII"
        rest = "..." if len(value) > SHOWN_CHARACTERS else ""
        return '"%s%s"' % (value[:SHOWN_CHARACTERS], rest)
    if kind is dict:
        return "an object"
    return "a list" if kind is list else "a value of another type"
