"""Which modules become one: those that are in memory at the same times.

What one Phase (modelwave_shared.lean) names becomes one module. So do the modules that the
agent's own module imports as it is loaded, and what only one module imports joins it.
"""

import ast
from collections.abc import Iterable

from modelwave_controller.boards.program import Program
from modelwave_controller.boards.sources import Refused, Source, Sources

HOME = "modelwave_agent"


def groups_of(program: Program, apart: set[str], core: str) -> dict[str, str]:
    """{module: the module that it becomes part of}"""
    sources = program.sources
    early = {name: imported_early(program, name) for name in sources}
    resident = _reachable(core, early, apart)
    groups = {name: name for name in sources if name in apart}
    groups.update(dict.fromkeys(resident, core))
    heads: dict[frozenset[int], str] = {}
    phases = _phases(program)
    for name in sources:
        among = frozenset(n for n, phase in enumerate(phases) if name in phase)
        if name not in groups and among:
            first = next(one for one in phases[min(among)] if one in sources)
            groups[name] = heads.setdefault(among, _home(first))
    while True:
        before = dict(groups)
        for name in sources:
            users = {groups.get(user, "") for user in sources if name in early[user]}
            if name not in groups and len(users) == 1 and "" not in users:
                groups[name] = users.pop()
        if groups == before:
            break
    return {name: groups.get(name, _home(name)) for name in sources}


def _home(name: str) -> str:
    return f"{HOME}.{name.rpartition('.')[2]}"


def imported_early(program: Program, name: str) -> set[str]:
    """The modules of ours that `name` imports as it is loaded."""
    found = set()
    for statement in program.sources[name].tree.body:
        if isinstance(statement, ast.ImportFrom):
            targets = [program.imported(alias) for alias in statement.names]
            found |= {target.module for target in targets if target}
    return found


def _reachable(core: str, early: dict[str, set[str]], apart: set[str]) -> set[str]:
    found: set[str] = set()
    left = [core]
    while left:
        name = left.pop()
        if name in early and name not in found and (name == core or name not in apart):
            found.add(name)
            left += sorted(early[name])
    return found


def _phases(program: Program) -> list[list[str]]:
    """The modules that are named together in a call, by their full names."""
    return [
        names for source in program.sources.values() for _, names in phase_calls(source, program)
    ]


def phase_calls(source: Source, program: Program) -> Iterable[tuple[ast.Call, list[str]]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and node.args:
            values = [one.value for one in node.args if isinstance(one, ast.Constant)]
            names = [value for value in values if isinstance(value, str)]
            if len(names) == len(node.args) and any(name in program.sources for name in names):
                yield node, names


def ordered(members: list[str], early: dict[str, set[str]], sources: Sources) -> list[str]:
    """What is imported comes before what imports it."""
    found: list[str] = []
    under_way: list[str] = []

    def add(name: str) -> None:
        if name in found or name not in members:
            return
        if name in under_way:
            raise Refused(sources[name], sources[name].tree, "it is imported in a circle")
        under_way.append(name)
        for other in sorted(early[name]):
            add(other)
        found.append(name)

    for name in members:
        add(name)
    return found


def refuse_circles(sources: Sources) -> None:
    program = Program(sources)
    early = {name: imported_early(program, name) for name in sources}
    for name, source in sources.items():
        left, seen = sorted(early[name]), set[str]()
        while left:
            other = left.pop()
            if other == name:
                raise Refused(
                    source, source.tree, f"it and what joins it import {name} in a circle"
                )
            if other not in seen:
                seen.add(other)
                left += sorted(early[other])
