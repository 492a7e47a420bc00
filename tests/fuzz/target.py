"""A target of the fuzzers: what is read, and what the reading is compared with."""

from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

CORPORA = Path(__file__).parent / "corpus"

# Reads the bytes; returns whether the product took them for valid. On a finding it raises
# AssertionError, or what the product raises: only the errors that a reader promises are caught.
Run = Callable[[bytes], bool]


class Target(NamedTuple):
    """`oracle`: what the answer is compared with. `place`: MODULE.FUNCTION in this package; the
    module's FUNCTION_seeds() returns valid inputs. `longest`: bytes of an input. `shape`: a name of
    shapes.SHAPES, for inputs that rarely stay valid when some of their bytes are changed.
    `unfollowed`: modules whose places do not count as reached, as another target has them; it is
    faster so."""

    name: str
    reads: str
    oracle: str
    place: str
    longest: int = 4096
    shape: str = ""
    unfollowed: tuple[str, ...] = ()

    @property
    def run(self) -> Run:
        return self._named("")  # type: ignore[no-any-return]

    def seeds(self) -> list[bytes]:
        found: Iterable[bytes] = self._named("_seeds")()
        return list(found)

    @property
    def corpus(self) -> Path:
        """The folder of inputs that were found."""
        return CORPORA / self.name

    def kept(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted(self.corpus.glob("*"))]

    def _named(self, ending: str) -> Callable[..., object]:
        module, _, function = self.place.partition(".")
        found: Callable[..., object] = getattr(
            import_module(f"tests.fuzz.{module}"), function + ending
        )
        return found
