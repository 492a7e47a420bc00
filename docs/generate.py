"""Regenerates the parts of the docs that come from the code; `--check` only lists stale pages.

docs/device.md   the state diagram and the table, from machine.TABLE
README.md        the CLI's help
docs/operations.md   the keys of a plan, from plan.py
docs/watch.svg   the watch view, drawn by the code that draws it in a terminal
docs/decisions/README.md   the list of the records, from their first lines
docs/api.md      the table of calls, from api/
docs/boards.md   the agent's size and heap on a board, from benchmarks/footprint.toml
"""

import io
import re
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from typer.main import get_command

from modelwave_agent import machine
from modelwave_controller.api import fleet
from modelwave_controller.api.every import CALLS
from modelwave_controller.boards import modules, package
from modelwave_controller.cli import view, whole_application
from modelwave_controller.results.rollouts import GateRow, Problem, SeriesPoint, StageRow, Status
from modelwave_controller.rollout import plan

ROOT = Path(__file__).resolve().parent.parent


def diagram() -> str:
    """Returns the state diagram (Mermaid) and the table of machine.TABLE."""
    edges: dict[tuple[str, str], list[str]] = {}
    rows = [
        (state, event, *row)
        for state, events in machine.TABLE.items()
        for event, row in events.items()
    ]
    for state, event, after, _, _ in rows:
        edges.setdefault((state, after), []).append(event)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> idle"]
    lines += [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in edges.items()]
    lines += ["```", ""]
    lines += ["| state | event | next | changes | then |", "| --- | --- | --- | --- | --- |"]
    for state, event, after, change, effects in rows:
        what = "" if change is machine.keep else change.__name__.replace("_", " ")
        lines.append(f"| {state} | {event} | {after} | {what} | {', '.join(effects.split())} |")
    return "\n".join(lines)


def commands() -> str:
    """Returns every command with the first sentence of its help, from the command line itself."""
    lines = ["```text"]
    for path, command in _walk(get_command(whole_application()), ["modelwave"]):
        arguments = [f"{part.name.upper()}" for part in command.params if _is_argument(part)]
        usage = " ".join([*path, *arguments])
        summary = re.split(r"(?<=[.:])\s", (command.help or "").strip())[0].rstrip(".:")
        lines.append(f"{usage:44} {summary}".rstrip())
    return "\n".join([*lines, "```"])


def plan_keys() -> str:
    """Returns the TOML form of a plan, from the text that begins its module."""
    text = (plan.__doc__ or "").split("or `devices`:\n\n")[1].split("\n\nTypes are")[0]
    table, words = text.split("\n\n")
    return "\n".join(["```toml", textwrap.dedent(table), "```", "", words])


def _walk(command: Any, path: list[str]) -> Iterator[tuple[list[str], Any]]:
    subcommands = getattr(command, "commands", None)
    if subcommands is None or getattr(command, "invoke_without_command", False):
        yield path, command
    if subcommands is None:
        return
    for name, one in subcommands.items():
        yield from _walk(one, [*path, name])


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument" and parameter.required)


def _points(canaries: str, controls: str, scale: float) -> list[SeriesPoint]:
    """Returns a point for each pair of words."""
    pairs = zip(canaries.split(), controls.split(), strict=True)
    return [
        SeriesPoint(window, float(ours) * scale, float(theirs) * scale, 791, 391)
        for window, (ours, theirs) in enumerate(pairs, 1)
    ]


def _gate_row(gate: str, harm: float, low: float, high: float, margin: float) -> GateRow:
    return GateRow(3, gate, "", "PASS", harm, low, high, margin, 391, 400, 0.2, "", "", "2 of 3")


def watch() -> str:
    """Returns the watch view of a running rollout, as SVG."""
    status = Status(
        rollout=7,
        model="digits",
        release=2,
        version="v2",
        targets=["linux-cpu", "nano33ble"],
        seed=421,
        status="RUNNING",
        why="stage 3 (50 %): 386 of 400 devices succeeded, 9 in progress, 5 without an answer yet",
        next="the gate decides when enough devices answered, in 23 h at the latest",
        warnings=[],
        rows=[
            StageRow("stage 1 (1 %)", 10, 0, 10, 0, 0, 0, 0, 0, "PASS", ""),
            StageRow("stage 2 (10 %)", 90, 0, 88, 0, 0, 1, 0, 1, "PASS", ""),
            StageRow("stage 3 (50 %)", 400, 9, 386, 0, 0, 0, 0, 5, "pending", ""),
            StageRow("stage 4 (100 %)", 0, 0, 0, 0, 0, 0, 0, 0, "", ""),
        ],
        problems=[
            Problem(
                "nano-0417", "REJECTED", "fit: flash: 17252 bytes missing (needs 50020, has 32768)"
            )
        ],
        judged=[
            _gate_row("accuracy >= baseline - 0.02", 0.003, 0.0012, 0.0048, 0.02),
            _gate_row("mean(latency_ms) <= 1.2 * baseline", 0.08, 0.061, 0.099, 0.2),
        ],
        next_look="after 4 windows of stage 3, in 23 min",
        series={
            "accuracy >= baseline - 0.02": _points("967 965 964", "968 968 967", 0.001),
            "mean(latency_ms) <= 1.2 * baseline": _points("129 131 130", "121 120 121", 0.1),
        },
        series_stage=3,
    )
    console = Console(record=True, width=108, file=io.StringIO(), force_terminal=True)
    console.print(view.rollout(status))
    return console.export_svg(title="modelwave rollout watch", unique_id="watch")


RECORD = re.compile(
    r"# (?P<title>\d+\. .+)\n\n- Status: (?P<status>.+)\n- Date: (?P<date>\d{4}-\d\d-\d\d)\b"
)


def decisions() -> str:
    """Returns the table of all decision records, with the status and date of each."""
    lines = ["| record | status | date |", "| --- | --- | --- |"]
    for path in sorted((ROOT / "docs/decisions").glob("[0-9]*.md")):
        head = RECORD.match(path.read_text())
        if head is None:
            raise SystemExit(f"{path.name}: its first lines are not of the form of template.md")
        lines.append(f"| [{head['title']}]({path.name}) | {head['status']} | {head['date']} |")
    return "\n".join(lines)


def footprint() -> str:
    """What is recorded of the agent's bytes and heap on a board, beside each other."""
    recorded = tomllib.loads((ROOT / "benchmarks/footprint.toml").read_text())
    sizes = dict(recorded["files"])
    folders = modules.package_folders()
    counted = modules.reachable(package.ROOTS, folders).keys()
    counted |= {root for roots in package.PARTS.values() for root in roots}  # by their own parts
    parts = {}
    for index, roots in package.PARTS.items():
        own = {*roots, *(modules.reachable(roots, folders).keys() - counted)}
        parts[index] = sum(sizes.pop(package.place(module)) for module in own)
    parts = {f"{package.INDEX}: agent, MQTT, file blocks, functions": sum(sizes.values())} | parts
    lines = ["| .mpy | bytes |", "| --- | ---: |"]
    lines += [f"| {index} | {size:,} |" for index, size in parts.items()]
    lines += ["", "| heap | bytes |", "| --- | ---: |"]
    lines += [f"| {what} | {size:,} |" for what, size in recorded["heap"].items()]
    return "\n".join(lines)


def api_calls() -> str:
    """Returns the table of all calls, by path."""
    lines = ["| call | permission | |", "| --- | --- | --- |"]
    for call in sorted((*CALLS, fleet.STREAM), key=lambda one: (one.path, one.method)):
        lines.append(f"| `{call.method} {call.path}` | {call.needs} | {call.summary} |")
    return "\n".join(lines)


def filled(text: str, name: str, content: str) -> str:
    """Returns `text` with `content` between the markers of `name`. Raises SystemExit without
    them."""
    pattern = re.compile(rf"(<!-- generated: {name} \(make docs\) -->\n).*?(<!-- end -->)", re.S)
    if not pattern.search(text):
        raise SystemExit(f"no marker for {name}")
    return pattern.sub(lambda match: f"{match[1]}{content}\n{match[2]}", text)


def pages() -> dict[Path, str]:
    """Returns the generated pages with their current contents."""
    device, readme = ROOT / "docs/device.md", ROOT / "README.md"
    operations = ROOT / "docs/operations.md"
    records, boards = ROOT / "docs/decisions/README.md", ROOT / "docs/boards.md"
    api = ROOT / "docs/api.md"
    return {
        api: filled(api.read_text(), "calls", api_calls()),
        device: filled(device.read_text(), "machine", diagram()),
        operations: filled(operations.read_text(), "plan", plan_keys()),
        readme: filled(readme.read_text(), "help", commands()),
        records: filled(records.read_text(), "decisions", decisions()),
        boards: filled(boards.read_text(), "footprint", footprint()),
        ROOT / "docs/watch.svg": watch(),
    }


def stale() -> dict[Path, str]:
    """Returns the pages whose files differ from their current contents."""
    return {
        path: text
        for path, text in pages().items()
        if not path.exists() or path.read_text() != text
    }


def main() -> int:
    found = stale()
    for path, text in found.items():
        if "--check" in sys.argv[1:]:
            print(f"{path.relative_to(ROOT)} is stale: run `make docs`")
        else:
            path.write_text(text)
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if found and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
