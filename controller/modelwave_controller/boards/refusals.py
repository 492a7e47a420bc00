"""What the linker does not take, as it would change its meaning: names in texts."""

import ast
import string

from modelwave_controller.boards.sources import Refused, Source, Sources

BY_NAME = {"setattr", "delattr", "globals", "locals", "vars", "eval", "exec", "__import__"}


def refuse(sources: Sources) -> None:
    for source in sources.values():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                _refuse_call(source, node, node.func.id)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                _refuse_method(source, node.func)
            # Where it is imported, or asked of a module.
            if "namedtuple" in (getattr(node, "name", ""), getattr(node, "attr", "")):
                raise Refused(source, node, "namedtuple() has the names of attributes in texts")
            if isinstance(node, ast.keyword) and node.arg is None:
                raise Refused(source, node.value, "** hides the names of the arguments")


def _refuse_call(source: Source, node: ast.Call, called: str) -> None:
    if called in BY_NAME:
        raise Refused(source, node, f"{called}() finds names by their text")
    if called in ("getattr", "hasattr"):
        name = node.args[1] if len(node.args) > 1 else None
        if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
            raise Refused(source, node, f"{called}() finds names by their text")


def _refuse_method(source: Source, called: ast.Attribute) -> None:
    """`"{0.name}".format(…)`, and any format() whose text is not seen here."""
    if called.attr != "format":
        return
    text = called.value.value if isinstance(called.value, ast.Constant) else None
    parts = string.Formatter().parse(text) if isinstance(text, str) else [("", "?", "", "")]
    if any(field and not field.isdecimal() for _, field, _, _ in parts):
        raise Refused(source, called, "format() finds names by their text")
