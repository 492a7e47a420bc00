"""Draws how far a command is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from modelwave_controller.terminal import console

# Is told what is being done, and how many of how many steps of it are done.
Tell = Callable[[str, int, int], None]


@contextmanager
def progress() -> Iterator[Tell]:
    """Yields a function that draws how far it is, on a terminal only."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield lambda _what, _done, _total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
    )
    with Progress(*columns, console=screen, transient=True) as drawn:
        tasks: dict[str, TaskID] = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = drawn.add_task(what, total=total or 1)
            drawn.update(tasks[what], completed=done if total else 1)

        yield tell
