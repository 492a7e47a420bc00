"""Small programs put through the boards' linker, and run before and after."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from modelwave_controller.boards import linker

ROOT = "modelwave_agent.main"


class Program:
    """Modules by name ("modelwave_shared.b"), in a folder; the one to begin with is ROOT."""

    def __init__(self, folder: Path, **modules: str) -> None:
        """`modules`: main, and others as agent_NAME or shared_NAME."""
        self.folder = folder
        self.packages = {
            name: folder / "in" / name for name in ("modelwave_agent", "modelwave_shared")
        }
        for package in self.packages.values():
            package.mkdir(parents=True)
            (package / "__init__.py").write_text("")
        for name, text in modules.items():
            part, _, module = ("agent_" + name if name == "main" else name).partition("_")
            (self.packages[f"modelwave_{part}"] / f"{module}.py").write_text(dedent(text))

    def link(
        self,
        keep: tuple[str, ...] = ("main",),
        rename: bool = True,
        apart: tuple[str, ...] = (ROOT,),
    ) -> dict[str, str]:
        """{module: its new text}"""
        return linker.link([ROOT], self.packages, keep, rename, apart, core=ROOT).texts

    def before(self) -> str:
        return self._run(self.folder / "in")

    def after(self, **how: object) -> str:
        """What main() prints once it is linked."""
        out = self.folder / "out"
        for name, text in self.link(**how).items():  # type: ignore[arg-type]
            path = out.joinpath(*name.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self._run(out)

    def _run(self, folder: Path) -> str:
        code = f"import sys; sys.path.insert(0, {str(folder)!r}); from {ROOT} import main; main()"
        command = [sys.executable, "-I", "-S", "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout
