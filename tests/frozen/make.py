"""Keeps the present commit's release for test_inventory.py and test_mixed.py, in
tests/data/releases/VERSION: run it at the commit of a release, and commit what it makes.

    python -m tests.frozen.make
"""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

from modelwave_controller.boards import package
from modelwave_shared import checkout, version
from tests.frozen.inventory import inventory
from tests.frozen.kept import BOARD, FOLDER, INVENTORY

ROOT = Path(__file__).resolve().parents[2]
WHEEL = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir")


def main() -> None:
    if checkout.described().endswith(".dirty"):
        sys.exit("the work tree has changes: commit them first, so that the wheels name a commit")
    folder = FOLDER / version.VERSION
    folder.mkdir(parents=True, exist_ok=True)
    for source in (ROOT / "agent", ROOT):
        subprocess.run([sys.executable, *WHEEL, str(folder), str(source)], check=True)
    (folder / BOARD).write_bytes(_board())
    said = json.dumps(inventory(), indent=0, sort_keys=True, ensure_ascii=False)
    (folder / INVENTORY).write_text(f"{said}\n")
    for path in sorted(folder.iterdir()):
        print(f"{path.stat().st_size:9,} bytes  {path.relative_to(ROOT)}")


def _board() -> bytes:
    """The modules that a board imports, as they lie in its /lib."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(package.build().items()):
            if name.endswith(".mpy"):
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return made.getvalue()


if __name__ == "__main__":
    main()
