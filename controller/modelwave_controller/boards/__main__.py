"""python -m modelwave_controller.boards OUTDIR: the figures, for whoever counts bytes."""

import sys
from pathlib import Path

from modelwave_controller.boards import package


def main(folder: Path) -> None:
    files = package.build()
    package.write(files, folder)
    for index in package.INDEXES:
        if index in files:
            sizes = package.installed(files, index)
            for path, size in sizes.items():
                print(f"{size:6}  {path}")
            print(f"{sum(sizes.values()):6}  {index}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
