"""What the linker does not take, as it would change its meaning: names in texts."""

import ast

from modelwave_controller.boards.sources import Refused, Source, Sources

BY_NAME = {"setattr", "delattr", "globals", "locals", "vars", "eval", "exec", "__import__"}


def refuse(sources: Sources) -> None:
    for source in sources.values():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                _refuse_call(source, node, node.func.id)
            if isinstance(node, ast.keyword) and node.arg is None:
                raise Refused(source, node.value, "** hides the names of the arguments")


def _refuse_call(source: Source, node: ast.Call, called: str) -> None:
    if called in BY_NAME:
        raise Refused(source, node, f"{called}() finds names by their text")
    if called in ("getattr", "hasattr"):
        name = node.args[1] if len(node.args) > 1 else None
        if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
            raise Refused(source, node, f"{called}() finds names by their text")
