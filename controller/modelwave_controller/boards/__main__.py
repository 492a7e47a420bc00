"""python -m modelwave_controller.boards OUTDIR: the figures, for whoever counts bytes."""

import sys
from pathlib import Path

from modelwave_controller.boards import compiling, linker, sources


def main(folder: Path, *roots: str) -> None:
    linked = linker.link(roots or linker.ROOTS, sources.package_folders())
    total = 0
    for name, text in linked.texts.items():
        path = folder.joinpath(*name.split(".")).with_suffix(".mpy")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".txt").write_text(text)
        data = compiling.compiled(text, name.split(".")[-1])
        path.write_bytes(data)
        total += len(data)
        print(f"{len(data):6}  {name}")
    print(f"{total:6}  all {len(linked.texts)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
