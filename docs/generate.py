"""Redraws what the docs take from the code; `--check` only says what is stale.

    docs/device.md   the state diagram and the table, from machine.TABLE
    README.md        the CLI's help
    docs/watch.svg   the watch view, drawn by the code that draws it on a terminal
"""

import re
import sys
from pathlib import Path

from modelwave_agent import machine

ROOT = Path(__file__).resolve().parent.parent


def diagram() -> str:
    """The state diagram (Mermaid) and the table of machine.TABLE."""
    edges: dict[tuple[str, str], list[str]] = {}
    for (state, event), (after, _, _) in machine.TABLE.items():
        edges.setdefault((state, after), []).append(event)
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> idle"]
    lines += [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in edges.items()]
    lines += ["```", "", "| state | event | next | changes | then |", "| --- | --- | --- | --- | --- |"]
    for (state, event), (after, change, effects) in machine.TABLE.items():
        what = "" if change is machine.keep else change.__name__.replace("_", " ")
        lines.append(f"| {state} | {event} | {after} | {what} | {', '.join(effects)} |")
    return "\n".join(lines)


def filled(text: str, name: str, content: str) -> str:
    """`text` with what stands between the markers of `name` replaced."""
    pattern = re.compile(rf"(<!-- generated: {name} \(make docs\) -->\n).*?(<!-- end -->)", re.S)
    if not pattern.search(text):
        raise SystemExit(f"no marker for {name}")
    return pattern.sub(lambda match: f"{match[1]}{content}\n{match[2]}", text)


def pages() -> dict[Path, str]:
    """Every generated page as it should be."""
    device = ROOT / "docs/device.md"
    return {device: filled(device.read_text(), "machine", diagram())}


def main() -> int:
    stale = [path for path, text in pages().items() if path.read_text() != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is stale: run `make docs`")
        return len(stale) > 0
    for path in stale:
        path.write_text(pages()[path])
        print(f"redrew {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
