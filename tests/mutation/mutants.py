"""Makes the mutants of a module: each is its source with one small change, such as a `<` that is a
`<=`. The changes are those of cosmic-ray."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parents[2]

# One change for each kind of mistake: another operator of the same kind, its boundary and its
# opposite. cosmic-ray has all eleven others for each `+`; who misses one of them misses them all.
OPERATORS = (
    *("AddNot", "ReplaceAndWithOr", "ReplaceOrWithAnd", "ReplaceUnaryOperator_Delete_Not"),
    *("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "NumberReplacer"),
    *("ReplaceUnaryOperator_Delete_USub",),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("FloorDiv_Mul", "Mod_Mul", "Pow_Mul")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("BitAnd_BitOr", "LShift_RShift")),
    *("ReplaceBinaryOperator_RShift_LShift",),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("IsNot_Is", "Lt_LtE", "Lt_GtE", "LtE_Lt")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt")),
    *("ReplaceComparisonOperator_GtE_Lt",),
    *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ZeroIterationForLoop"),
    *("ExceptionReplacer", "RemoveDecorator"),
)


@dataclass(frozen=True)
class Mutant:
    """`path`: of the file in the repository; `line`: counted from 1; `before` and `after`: the line
    as it is and as it became, without indentation; `source`: the whole file as it became."""

    path: str
    line: int
    before: str
    after: str
    source: str

    @property
    def shown(self) -> str:
        return f"{self.path}:{self.line}: {self.before}  →  {self.after}"


def mutants(path: str) -> Iterator[Mutant]:
    """Yields each mutant of a file that differs from it, once."""
    source = (ROOT / path).read_text()
    seen = {source}
    for name in OPERATORS:
        operator = get_operator(f"core/{name}")()
        tree = get_ast(source)
        number = sum(len(list(operator.mutation_positions(node))) for node in ast_nodes(tree))
        for occurrence in range(number):
            changed = mutate_code(source, operator, occurrence)
            if changed is not None and changed not in seen:
                seen.add(changed)
                yield _described(path, source, changed)


def _described(path: str, source: str, changed: str) -> Mutant:
    before, after = source.splitlines(), changed.splitlines()
    pairs = enumerate(zip(before, after, strict=False))
    line = next((n for n, (old, new) in pairs if old != new), min(len(before), len(after)) - 1)
    return Mutant(path, line + 1, before[line].strip(), after[line].strip(), changed)
