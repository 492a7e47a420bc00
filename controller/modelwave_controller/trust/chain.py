"""The chain of roots in a home folder.

    roots/<version>.json   every root since the fleet's first one, or since these were kept
    root.json              the newest one, which commands and people read

Each root follows the one before it (documents.open_next_root). `read` returns the longest chain
that is whole: a file that does not follow changes nothing, and `trouble` says what is wrong. A
root.json that is the next root is taken: somebody has copied it there.
"""

from pathlib import Path
from typing import Any, NamedTuple

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError, TrustError
from modelwave_controller.trust import roots
from modelwave_shared import documents, dsse, limits
from modelwave_shared.errors import advised
from modelwave_shared.words import ROOT

FOLDER, NEWEST = "roots", "root.json"


class Chain(NamedTuple):
    """The roots of a fleet: their envelopes by version, and the newest document."""

    envelopes: dict[int, bytes]
    newest: dict[str, Any]
    trouble: str = ""  # a file that does not belong to it, and what to do

    @property
    def version(self) -> int:
        return max(self.envelopes)

    @property
    def envelope(self) -> bytes:
        return self.envelopes[self.version]

    @property
    def earlier(self) -> list[dict[str, Any]]:
        """The documents of the roots before the newest one, from it backwards."""
        found = [self.envelopes[v] for v in sorted(self.envelopes, reverse=True)[1:]]
        return [dict(documents.read(ROOT, dsse.read(data).payload)) for data in found]

    def followed_by(self, data: bytes, what: str) -> "Chain":
        """Returns the chain with one more root. Raises TrustError unless it follows."""
        document = opened_next(data, self.newest, what)
        version = int(documents.root_version(document))
        return Chain({**self.envelopes, version: data}, document)


def opened_next(data: bytes, trusted: dict[str, Any], what: str) -> dict[str, Any]:
    """Returns the root in `data` that follows `trusted`. Raises TrustError, which names `what`."""
    try:
        return dict(documents.open_next_root(data, trusted))
    except ValueError as error:
        raise TrustError(f"{what}: {advised(error, 'controller')}") from error


def read(home: Path) -> Chain:
    """Returns the chain of a home. Raises OperatorError if there is none, TrustError if even its
    first root is not valid."""
    newest = home / NEWEST
    if not newest.exists():
        raise OperatorError(
            f"--home: {home} has no root.json; "
            "make a home with `modelwave init FLEET`, or name yours with --home"
        )
    data = disk.read_input(newest, "--home", limits.MAX_ENVELOPE_BYTES)
    chain = _stored(home)
    if chain is None:
        document = roots.open_root(data, str(newest))
        return Chain({int(documents.root_version(document)): data}, document)
    if chain.trouble or data in chain.envelopes.values():
        return chain
    try:
        return chain.followed_by(data, str(newest))
    except TrustError as error:
        return chain._replace(
            trouble=f"{error}: root {chain.version} stays in use; put "
            f"{home / FOLDER / f'{chain.version}.json'} back as root.json, or publish the next "
            "root with `modelwave root publish FILE`"
        )


def _stored(home: Path) -> Chain | None:
    """Returns the chain in roots/; None if that has none."""
    found = sorted(
        (int(path.stem), path)
        for path in (home / FOLDER).glob("*.json")
        if path.stem.isascii() and path.stem.isdigit() and str(int(path.stem)) == path.stem
    )
    chain: Chain | None = None
    for version, path in found:
        data = disk.read_input(path, "--home", limits.MAX_ENVELOPE_BYTES)
        try:
            if chain is None:
                document = roots.open_root(data, str(path))
                _require_version(document, version, path)
                chain = Chain({version: data}, document)
            else:
                chain = chain.followed_by(data, str(path))
                _require_version(chain.newest, version, path)
        except TrustError as error:
            if chain is None:
                raise
            told = f"{error}: root {chain.version} stays in use; remove that file"
            return chain._replace(trouble=told)
    return chain


def _require_version(document: dict[str, Any], version: int, path: Path) -> None:
    if documents.root_version(document) != version:
        raise TrustError(f"{path}: it is root {documents.root_version(document)}")


def write(home: Path, chain: Chain) -> None:
    """Stores the chain, root.json last: a power cut leaves this chain or the one before."""
    folder = home / FOLDER
    disk.make_folder(folder)
    disk.sync_folder(folder)  # of what is there, a killed command may not have done it
    for version, data in sorted(chain.envelopes.items()):
        path = folder / f"{version}.json"
        if not path.exists() or path.read_bytes() != data:
            disk.replace(path, data)
    if (home / NEWEST).read_bytes() != chain.envelope:
        disk.replace(home / NEWEST, chain.envelope)


def found_path(home: Path, version: int) -> Path:
    """Returns where the service keeps a root that it found at the broker, and that the home does
    not have."""
    return home / FOLDER / f"{version}.found.json"
