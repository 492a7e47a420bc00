"""Gives our own names short ones, the same in all modules.

A name in an .mpy is text, in each module that uses it, and on a board it is RAM, once. So
names share: two may be called the same if no module has both on its level, and two
attributes if no object has both. What is local to a function is named for it alone; of that
only parameters have names in an .mpy at all.

Attributes are known by their text alone, as nobody knows an object's class here: all that
an object of the interpreter may have (interpreter.ATTRIBUTES) stay as they are, and so do
those that none of our classes has.

Classes of exceptions get short names as well, so a board's report says "aB: …" where a host's
says "TooLong: …" (ports.py's stay). Their names would take 166 bytes; names.json of the build
tells which is which.
"""

import ast
import itertools
import keyword
from collections import defaultdict
from collections.abc import Container, Iterable

from modelwave_controller.boards.interpreter import ATTRIBUTES, BUILTINS, IN_EVERY_MPY, SPECIAL
from modelwave_controller.boards.program import Program, Target
from modelwave_controller.boards.scopes import arguments
from modelwave_controller.boards.sources import Source

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
NEVER = ATTRIBUTES | BUILTINS | frozenset(keyword.kwlist) | {"_"}
# A name that every .mpy has costs less than a letter, and no RAM at all.
FREE = [name for name in IN_EVERY_MPY if name.islower() and name not in SPECIAL]
SHORT = FREE + [
    name
    for length in (1, 2)
    for name in map("".join, itertools.product(LETTERS, repeat=length))
    if name not in NEVER and not name.startswith("__")
]


class Names:
    """What everything is called in the end."""

    def __init__(self, program: Program, keep: Container[str], called: Container[ast.AST]) -> None:
        """`keep`: names to leave alone; `called`: functions that keep their parameters'."""
        self.program = program
        self.called = called
        texts = _texts(program)
        self.kept = {name for name in texts if name in keep or name.startswith("__")}
        self.spoken = self.kept | _keywords(program)
        self.there: dict[str, set[str]] = {}  # module: names that its .mpy has anyway
        self.levels = {name: self._level(source) for name, source in program.sources.items()}
        self.globals: dict[Target, str] = {}
        self.attributes: dict[str, str] = {}
        self._name_globals()
        self._name_attributes()

    def _level(self, source: Source) -> dict[str, Target | None]:
        """The names on a module's level and of builtins in it; None: stays as it is."""
        found: dict[str, Target | None] = {}
        scopes = self.program.scopes[source.name]
        for _, name, scope in scopes.uses:
            owner = scope.lookup(name)
            if owner is None:
                found[name] = None
            elif owner is scopes.module:
                found[name] = self.target(source, name)
        self.there[source.name] = {name for name in found if found[name] is None}
        return found

    def target(self, source: Source, name: str) -> Target | None:
        """What a name on the module's level is, if it may be renamed."""
        binders = self.program.scopes[source.name].module.bound[name]
        target: Target | None = Target("name", source.name, name)
        if isinstance(binders[0], ast.alias):
            target = self.program.imported(binders[0])
        stays = target is None or name in self.kept or target.name in self.kept
        return None if stays else target

    def _name_globals(self) -> None:
        modules: dict[Target, list[str]] = defaultdict(list)  # where each is on the level
        for module, level in self.levels.items():
            for target in filter(None, level.values()):
                modules[target].append(module)
        taken = {module: set(self.there[module]) for module in self.levels}
        for target in sorted(modules, key=lambda one: (-len(modules[one]), one)):
            here = modules[target]
            new = self._cheapest(here, set().union(*(taken[module] for module in here)))
            self.globals[target] = new
            for module in here:
                taken[module].add(new)
                self.there[module].add(new)

    def _cheapest(self, modules: Iterable[str], taken: set[str]) -> str:
        """The name that adds least to the .mpy files of `modules`."""

        def cost(name: str) -> int:
            missing = sum(name not in self.there[module] for module in modules)
            return missing * (2 if name in FREE else 2 + len(name))

        best: str = min((name for name in SHORT if name not in taken), key=cost)
        return best

    def _name_attributes(self) -> None:
        owners = _attribute_owners(self.program)
        modules: dict[str, set[str]] = defaultdict(set)
        for module, source in self.program.sources.items():
            for node in ast.walk(source.tree):
                if isinstance(node, ast.Attribute) and self.is_of_object(node):
                    modules[node.attr].add(module)
            for name, owned in owners.items():
                if any(owner.module == module for owner in owned):
                    modules[name].add(module)
        stay = ATTRIBUTES | self.kept | _asked_for(self.program)
        for name in sorted(set(owners) - stay, key=lambda one: (-len(modules[one]), one)):
            rivals = [other for other in self.attributes if owners[other] & owners[name]]
            used = {self.attributes[other] for other in rivals}
            for owner in owners[name]:
                used |= self._loaded_in_body(owner)
            self.attributes[name] = self._cheapest(sorted(modules[name]), used)
            for module in modules[name]:
                self.there[module].add(self.attributes[name])
        for module, source in self.program.sources.items():
            for node in ast.walk(source.tree):
                if isinstance(node, ast.Attribute) and (
                    node.attr not in self.attributes or self.program.foreign_module(node.value)
                ):
                    self.there[module].add(node.attr)

    def is_of_object(self, node: ast.Attribute) -> bool:
        """And not of a module."""
        return node not in self.program.targets and not self.program.foreign_module(node.value)

    def _loaded_in_body(self, owner: Target) -> set[str]:
        """Short names of globals that a class's body itself refers to."""
        scopes = self.program.scopes[owner.module]
        found = set()
        for _, name, scope in scopes.uses:
            if scope.kind == "class" and getattr(scope.node, "name", "") == owner.name:
                found.add(self.final_global(self.program.sources[owner.module], name))
        return found

    def final_global(self, source: Source, name: str) -> str:
        target = self.levels[source.name].get(name)
        return self.globals[target] if target else name


Class = Target


def _attribute_owners(program: Program) -> dict[str, set[Class]]:
    """{attribute: the classes whose objects may have it}; a class has its bases' too."""
    own: dict[Class, set[str]] = {}
    bases: dict[Class, list[Class]] = {}
    for module, source in program.sources.items():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                key = Target("name", module, node.name)
                own[key] = own.get(key, set()) | _own_attributes(node)
                found = [program.targets.get(base) for base in node.bases]
                bases[key] = [base for base in found if base]
    owners: dict[str, set[Class]] = defaultdict(set)
    for key in own:
        left = [key]
        while left:
            one = left.pop()
            for name in own.get(one, ()):
                owners[name].add(key)
            left += bases.get(one, [])
    return owners


def _own_attributes(node: ast.ClassDef) -> set[str]:
    """What the class's body binds, and what its methods store in `self`."""
    found = set()
    for member in node.body:
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(member.name)
            first = [one.arg for one in arguments(member.args)][:1]
            for inner in ast.walk(member):
                if (
                    isinstance(inner, ast.Attribute)
                    and not isinstance(inner.ctx, ast.Load)
                    and isinstance(inner.value, ast.Name)
                    and [inner.value.id] == first
                ):
                    found.add(inner.attr)
        else:
            for inner in ast.walk(member):
                if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                    found.add(inner.id)
    return found


def _keywords(program: Program) -> set[str]:
    """The names of arguments in calls."""
    trees = [source.tree for source in program.sources.values()]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg}


def _asked_for(program: Program) -> set[str]:
    """The names in getattr() and hasattr()."""
    found = set()
    for source in program.sources.values():
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                name = node.args[1] if node.func.id in ("getattr", "hasattr") else None
                found |= {str(name.value)} if isinstance(name, ast.Constant) else set()
    return found


def _texts(program: Program) -> set[str]:
    """All names in the program."""
    found = set()
    for source in program.sources.values():
        found |= {name for _, name, _ in program.scopes[source.name].uses}
        found |= {node.attr for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
    return found
