"""The programs of golden sets, which the controller runs.

    python -m modelwave_agent.host.golden show FILE

Prints JSON lines on stdout; the last one is the result. Exits with 1 and a line on stderr if the
file is no golden set or cannot be read, and with 2 for wrong arguments.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from modelwave_agent.host.golden import show
from modelwave_agent.ports import ProofError
from modelwave_shared.golden import GoldenError


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        result = options.run(options)
    except (GoldenError, ProofError, OSError, MemoryError) as error:
        print(str(error) or type(error).__name__, file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="golden", description="Make and examine golden sets.")
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("show", help="say what a golden set has")
    one.add_argument("file")
    one.set_defaults(run=_show)
    return parser.parse_args(arguments)


def _show(options: argparse.Namespace) -> dict[str, Any]:
    return show.shown(options.file)


if __name__ == "__main__":
    sys.exit(main())
