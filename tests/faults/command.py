"""Puts each fault of lists/*.toml into a copy of the tree, one at a time, and runs the test that
has to catch it. It prints a line for each, and ends with 1 if one was not caught.

    python -m tests.faults [NAME …]     those whose names begin so; all, if none is given
    python -m tests.faults --list       their names, and why each matters
    python -m tests.faults --all-tests  one that its test does not see is judged by all tests
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from queue import SimpleQueue

from tests.arguments import whole
from tests.ending import INTERRUPTED
from tests.faults import entries, tree
from tests.faults.entries import Fault
from tests.faults.judging import Result, Runner, python_paths

Tell = Callable[[str], None]


def main(arguments: Sequence[str] | None = None, of: Path = entries.TOP) -> int:
    options = _options(arguments)
    chosen = [one for one in entries.read() if one.name.startswith(tuple(options.names or [""]))]
    if options.list:
        print("\n".join(f"{one.name:40} {one.why}" for one in chosen))
        return 0
    runner = Runner()
    results: list[Result] = []
    try:
        wrong = run(chosen, runner, results, options.workers, options.all_tests, of)
    except KeyboardInterrupt:
        print(last_line(results, 0) + "; ended by Ctrl-C", flush=True)
        return INTERRUPTED
    print(last_line(results, wrong))
    return int(not results or wrong > 0 or any(not one.test for one in results))


def run(
    faults: Sequence[Fault],
    runner: Runner,
    results: list[Result],
    workers: int = 1,
    all_tests: bool = False,
    of: Path = entries.TOP,
) -> int:
    """Adds a result for each fault; returns how many entries are wrong, and judges none then."""
    problems = [(one, told) for one in faults if (told := entries.problem(one, of))]
    for one, told in problems:
        _say(f"{one.name}: {told}")
    if problems:
        return len(problems)
    with tempfile.TemporaryDirectory(prefix="modelwave-faults-") as folder:
        first = tree.copy(Path(folder) / "1", of)
        if not all(path.is_relative_to(first.top) for path in python_paths(first)):
            _say("the copy is not what its Python imports")
            return len(faults)
        _say(f"runs the tests of {len(faults)} faults without any of them")
        red = runner.not_green(first, [one.test for one in faults])
        for test in red:
            _say(f"not green without a fault, or skipped: {test}")
        if red:
            return len(red)
        trees = [first, *(first.copied(Path(folder) / str(n)) for n in range(2, workers + 1))]
        for result in _judged(faults, runner, trees, all_tests):
            results.append(result)
            _say(line(result))
    return 0


def _judged(
    faults: Sequence[Fault], runner: Runner, trees: Sequence[tree.Tree], all_tests: bool
) -> Iterator[Result]:
    free: SimpleQueue[tree.Tree] = SimpleQueue()
    for one in trees:
        free.put(one)

    def judge(fault: Fault) -> Result:
        place = free.get()
        try:
            return runner.judge(place, fault, all_tests)
        finally:
            free.put(place)

    with ThreadPoolExecutor(len(trees)) as pool:
        try:
            for done in as_completed([pool.submit(judge, fault) for fault in faults]):
                yield done.result()
        except BaseException:
            runner.stop()
            pool.shutdown(cancel_futures=True)
            raise


def line(result: Result) -> str:
    how = result.test or f"NOT CAUGHT by {result.fault.test}: {result.said}"
    return f"{result.fault.name:40} {result.seconds:5.1f} s  {how}"


def last_line(results: Sequence[Result], wrong: int) -> str:
    caught = sum(bool(one.test) for one in results)
    bad = len(results) - caught + wrong
    return f"faults: {caught} of {len(results)} caught, {bad} bad"


def _say(text: str) -> None:
    print(text, flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, formatter_class=form
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--all-tests", action="store_true")
    parser.add_argument("--workers", type=whole(1, 2), default=1, help="side by side")
    options = parser.parse_args(arguments)
    known = [one.name for one in entries.read()]
    if unknown := [
        name for name in options.names if not any(one.startswith(name) for one in known)
    ]:
        parser.error(f"{', '.join(unknown)}: no fault's name begins so; --list prints them")
    return options
