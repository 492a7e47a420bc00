"""One row of the table that `make scale` prints."""

from typing import NamedTuple


class Row(NamedTuple):
    """`figure` and `goal` are of the same unit; the row holds while the figure is on the goal's
    good side. Times come as ratios of two things that were measured in the same run, as absolute
    times say more of the machine than of modelwave. `detail` has the absolute figures, in words."""

    what: str
    figure: float
    goal: float
    unit: str  # "×", "s", "KB" …
    detail: str = ""
    more_is_better: bool = False

    @property
    def holds(self) -> bool:
        if self.more_is_better:
            return self.figure >= self.goal
        return self.figure <= self.goal

    @property
    def text(self) -> str:
        sign = "≥" if self.more_is_better else "≤"
        figure, goal = f"{self.figure:.3g} {self.unit}", f"{sign} {self.goal:g} {self.unit}"
        return f"| {self.what} | {figure} | {goal} | {'yes' if self.holds else 'NO'} |"
