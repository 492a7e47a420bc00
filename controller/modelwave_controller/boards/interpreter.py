"""What the interpreter on a board knows by name (interpreter.toml, asked of a real one)."""

import builtins
import tomllib
from importlib import resources

_FACTS = tomllib.loads(
    resources.files(__package__).joinpath("interpreter.toml").read_text(encoding="utf-8")
)

# Names in each module; those of modules that only some boards have are not known.
MODULES = {name: frozenset(names.split()) for name, names in _FACTS["modules"].items()}
ONLY_ON_BOARDS = frozenset(_FACTS["names"]["only_on_boards"].split())
# Attributes of the objects that its types and modules make.
ATTRIBUTES = frozenset(
    (_FACTS["names"]["attributes"] + _FACTS["names"]["board_attributes"]).split()
)
BUILTINS = MODULES["builtins"] | frozenset(dir(builtins))
# Names that an .mpy refers to by number: they need no text in it, and no RAM on a board.
IN_EVERY_MPY = tuple(_FACTS["names"]["in_every_mpy"].split())
# Names that are not to be given to what is ours.
SPECIAL = frozenset(_FACTS["names"]["special"].split())
