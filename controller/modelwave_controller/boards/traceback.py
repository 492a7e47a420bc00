"""Reads a traceback from a board, whose names are short."""

import re

from pydantic import TypeAdapter, ValidationError

from modelwave_controller.errors import OperatorError

Names = dict[str, dict[str, list[str]]]
_FRAME = re.compile(r'^(\s*File "(?:.*/)?(\w+)(?:\.\w+)?", line \d+, in )(\w+)', re.MULTILINE)
_ATTRIBUTE = re.compile(r"(has no attribute ')(\w+)(?=')")


def explain(text: str, names: bytes) -> str:
    """`text` with the names of the sources. `names`: names.json of the package that the
    board has installed. Raises OperatorError."""
    try:
        known = TypeAdapter(Names).validate_json(names)
    except ValidationError as error:
        raise OperatorError("names.json: not of a package for boards") from error
    modules = {module.rpartition(".")[2]: table for module, table in known.items() if module}
    attributes = known.get("", {})

    def frame(found: re.Match[str]) -> str:
        start, module, name = found.groups()
        return start + " or ".join(modules.get(module, {}).get(name, [name]))

    def attribute(found: re.Match[str]) -> str:
        return found[1] + " or ".join(attributes.get(found[2], [found[2]]))

    return _ATTRIBUTE.sub(attribute, _FRAME.sub(frame, text))
