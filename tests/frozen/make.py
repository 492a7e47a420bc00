"""Keeps the present commit's release for test_inventory.py and test_mixed.py, in
tests/data/releases/VERSION: run it at the commit of a release, and commit what it makes.

    python -m tests.frozen.make
"""

import json
import subprocess
import sys
from pathlib import Path

from modelwave_shared import checkout, version
from tests.frozen.inventory import inventory
from tests.frozen.kept import BOARD, FOLDER, INVENTORY, board_archive

ROOT = Path(__file__).resolve().parents[2]
WHEEL = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir")


def main() -> None:
    if checkout.described().endswith(".dirty"):
        sys.exit("the work tree has changes: commit them first, so that the wheels name a commit")
    folder = FOLDER / version.VERSION
    folder.mkdir(parents=True, exist_ok=True)
    for source in (ROOT / "agent", ROOT):
        subprocess.run([sys.executable, *WHEEL, str(folder), str(source)], check=True)
    (folder / BOARD).write_bytes(board_archive())
    said = json.dumps(inventory(), indent=0, sort_keys=True, ensure_ascii=False)
    (folder / INVENTORY).write_text(f"{said}\n")
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:9,} bytes  {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
