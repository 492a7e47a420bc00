"""Gives our own names short ones, the same in all modules.

A name in an .mpy is text, in each module that uses it, and on a board it is RAM, once. So
names share: two may be called the same if no module has both on its level, and two
attributes if no object has both. What is local to a function is named for it alone; of that
only parameters have names in an .mpy at all.

Attributes are known by their text alone, as nobody knows an object's class here: all that
an object of the interpreter may have (interpreter.ATTRIBUTES) stay as they are, and so do
those that none of our classes has.
"""

import ast
import itertools
import keyword
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator

from modelwave_controller.boards.interpreter import ATTRIBUTES, BUILTINS, IN_EVERY_MPY
from modelwave_controller.boards.program import Program, Target
from modelwave_controller.boards.scopes import Scope, arguments
from modelwave_controller.boards.sources import Source, Sources

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
NEVER = ATTRIBUTES | BUILTINS | frozenset(keyword.kwlist) | {"_"}
# What the interpreter itself looks for in objects that it did not make, and what its compiler
# takes for something else.
SPECIAL = set(
    "close send throw keys items read readinto readline write next iter const super micropython".split()
)
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

    def __init__(self, program: Program, keep: Container[str], public: Container[str]) -> None:
        """`keep`: names to leave alone; `public`: modules whose functions keep their
        parameters' names."""
        self.program = program
        self.public = public
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

        return min((name for name in SHORT if name not in taken), key=cost)

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


class Renamer:
    """Renames in one module."""

    def __init__(self, names: Names, source: Source) -> None:
        self.names = names
        self.program = names.program
        self.scopes = names.program.scopes[source.name]
        self.source = source
        self.local: dict[Scope, dict[str, str]] = {}

    def run(self) -> None:
        for scope in self.scopes.all:  # outer ones first
            if scope.kind == "function":
                self.local[scope] = self.name_locals(scope)
        for node in ast.walk(self.source.tree):
            if isinstance(node, ast.Attribute):
                target = self.program.targets.get(node)
                if target:
                    node.attr = self.names.globals.get(target, node.attr)
                elif self.names.is_of_object(node):
                    node.attr = self.names.attributes.get(node.attr, node.attr)
        for node, name, scope in self.scopes.uses:
            self.rename(node, name, self.final(name, scope))

    def final(self, name: str, scope: Scope) -> str:
        """What `name` as used in `scope` is called in the end."""
        owner = scope.lookup(name)
        if owner is None or owner.kind == "module":
            return self.names.final_global(self.source, name)
        if owner.kind == "class":
            return self.names.attributes.get(name, name)
        return self.local[owner][name]

    def name_locals(self, scope: Scope) -> dict[str, str]:
        fixed = self.fixed_parameters(scope)
        taken = {self.final(name, user) for name, user in _from_outside(scope)} | fixed
        names = {name: name for name in fixed}
        pool = (name for name in self.local_names() if name not in taken)
        parameters = [one.arg for one in arguments(_arguments(scope))]
        for name in [*parameters, *sorted(set(scope.bound) - set(parameters))]:
            if name not in names and name not in scope.elsewhere:
                names[name] = next(pool)
        return names

    def local_names(self) -> Iterator[str]:
        there = self.names.there[self.source.name]
        yield from (name for name in SHORT if name in there)
        yield from (name for name in SHORT if name not in there)

    def fixed_parameters(self, scope: Scope) -> set[str]:
        """Parameters that callers may name."""
        names = {one.arg for one in arguments(_arguments(scope))}
        if self.source.name in self.names.public and self.is_public(scope):
            return names - {"self"}
        return names & self.names.spoken

    def is_public(self, scope: Scope) -> bool:
        """Whether it is a function, or a method of a class, that a program may call."""
        while scope.outer is not None:
            called = getattr(scope.node, "name", "_")
            if called != "__init__" and called not in self.names.kept:
                return False
            scope = scope.outer
        return True

    def rename(self, node: ast.AST, old: str, new: str) -> None:
        if isinstance(node, ast.alias):
            target = self.program.imported(node)
            if target and target.kind == "name":
                node.name = self.names.globals.get(target, target.name)
            node.asname = new if new != node.name else None
        else:
            rename(node, old, new)


def rename(node: ast.AST, old: str, new: str) -> None:
    """At a place that names `old`, whatever kind of place."""
    if isinstance(node, ast.Name):
        node.id = new
    elif isinstance(node, ast.arg):
        node.arg = new
    elif isinstance(node, ast.Global | ast.Nonlocal):
        node.names = [new if name == old else name for name in node.names]
    else:
        assert isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler
        ), node
        node.name = new


def shorten(
    sources: Sources, keep: Container[str], public: Container[str]
) -> dict[str, dict[str, list[str]]]:
    """{module: {short: what is called so there}}, for who reads a board's traceback. Under ""
    the attributes."""
    names = Names(Program(sources), keep, public)
    defined = {name: list(_defined(source)) for name, source in sources.items()}
    for source in sources.values():
        Renamer(names, source).run()
    found: dict[str, dict[str, list[str]]] = {"": {}}
    for long, short in sorted(names.attributes.items()):
        found[""].setdefault(short, []).append(long)
    for module, entries in defined.items():
        found[module] = {}
        for node, qualified in entries:
            found[module].setdefault(node.name, []).append(qualified)
    return found


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _defined(source: Source) -> Iterator[tuple[Definition, str]]:
    """Functions and classes with their full names before they were joined (merging.py)."""
    left: list[tuple[ast.AST, str]] = [(source.tree, "")]
    while left:
        outer, path = left.pop(0)
        for node in ast.iter_child_nodes(outer):
            inner = path
            if isinstance(node, Definition):
                name, _, module = node.name.partition("__modelwave_")
                first = f"modelwave_{module.replace('__', '.')}" if module else source.name
                inner = f"{path or first}.{name}"
                yield node, inner
            left.append((node, inner))


def _arguments(scope: Scope) -> ast.arguments:
    found = getattr(scope.node, "args", None)
    if isinstance(found, ast.arguments):
        return found
    return ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])


def _from_outside(scope: Scope) -> Iterator[tuple[str, Scope]]:
    """(name, scope that uses it) of all in here that is bound further out, or nowhere."""
    inside = set(_with_inner(scope))
    for user in inside:
        for name in user.names:
            if user.lookup(name) not in inside:
                yield name, user


def _with_inner(scope: Scope) -> Iterator[Scope]:
    yield scope
    for inner in scope.inner:
        yield from _with_inner(inner)
