"""Follows the roots and the order key of the home while the service runs.

    the home's files                       what the service does
    another root.json, that follows        publishes it, and signs under it from then on
    another root.json, that does not       goes on under the root in use, and says so
    another order.key, that may sign       signs with it
    another order.key, that may not        signs nothing, and says so
    the broker has the next root           signs nothing, keeps that root beside the home's, says so

The last one is a home that was restored from a backup of before that root. Nothing is taken from
the broker by itself: the operator publishes the root that was kept.
"""

import logging
from pathlib import Path

from modelwave_controller import disk
from modelwave_controller.errors import ModelwaveError, TrustError
from modelwave_controller.home import Home
from modelwave_controller.service.sending import Issuer
from modelwave_controller.storage import outbox
from modelwave_controller.storage.store import Transactions
from modelwave_controller.trust import chain
from modelwave_controller.trust.chain import Chain
from modelwave_shared import topics

MAX_FOUND = 64  # roots from the broker that are remembered

logger = logging.getLogger(__name__)


class RootsInUse:
    """The chain that the service works with. One thread calls all of it."""

    def __init__(self, home: Home, issuer: Issuer) -> None:
        self.path = home.path
        self.chain: Chain = home.chain
        self.issuer = issuer
        self._key: Path | None = home.order_key_file
        self._looked: tuple[object, ...] = ()
        self._kept = True  # the chain is in roots/, as far as is known
        self._found: dict[int, bytes] = {}  # roots at the broker, by version; not verified
        self._said = ""

    def look(self) -> bool:
        """Takes what has changed in the home; returns whether a root is new."""
        now = self._files()
        if now == self._looked:
            return False
        self._looked = now
        fresh = Home(self.path)
        before = self.chain.version
        try:
            self._follow(fresh.chain)
            self._key = fresh.order_key_file
            self.issuer.take(self.chain.newest, fresh.order_key())
        except ModelwaveError as error:
            self.issuer.take(self.chain.newest, self.issuer.key)
            self.issuer.trouble = str(error)
        if self.chain.version > before:
            logger.info("root %d of this home is in use, and is published", self.chain.version)
        self._behind()
        self._tell()
        return self.chain.version > before

    def _follow(self, found: Chain) -> None:
        """Takes the roots of `found` after the one in use. Raises TrustError if they do not follow
        it."""
        version = self.chain.version
        if found.envelopes.get(version) != self.chain.envelope:
            raise TrustError(
                f"{self.path}: root {version}, which is in use, is not in this home any more: put "
                "it back, or start the service again"
            )
        following = self.chain
        for number in range(version + 1, found.version + 1):
            following = following.followed_by(found.envelopes[number], f"root {number}")
        self.chain = following._replace(trouble=found.trouble)
        is_new = found.version > version or not (self.path / chain.FOLDER).is_dir()
        if is_new or not self._kept:
            self._keep()

    def _keep(self) -> None:
        """Puts the chain into roots/. Without that it is in use all the same: it came from here."""
        try:
            chain.write(self.path, self.chain)
            self._kept = True
        except OSError as error:
            told = f"root {self.chain.version} is in use, and {self._not_written(error)}"
            self.chain = self.chain._replace(trouble=told)
            self._kept = False

    def _not_written(self, error: OSError) -> str:
        """Says that a file could not be written, and sees to it that the next look tries again."""
        self._looked = ()
        return f"{error.filename or self.path / chain.FOLDER}: {error.strerror}; put that right"

    def found(self, version: int, data: bytes) -> None:
        """Notes a root at the broker that the home does not have. Anybody may have made it up, so
        of many the lowest are kept: one of them is next."""
        if version not in self.chain.envelopes:
            self._found[version] = data
            if len(self._found) > MAX_FOUND:
                del self._found[max(list(self._found))]
            self._looked = ()

    def _behind(self) -> None:
        """Finds out whether the broker has the root after the newest one."""
        data = self._found.get(self.chain.version + 1)
        if data is None:
            return
        version = self.chain.version + 1
        try:
            self.chain.followed_by(data, f"root {version} at the broker")
        except TrustError as error:
            del self._found[version]
            logger.warning("%s: it is ignored", error)
            return
        kept = chain.found_path(self.path, version)
        way = f"`modelwave root publish {kept}` catches up"
        try:
            disk.make_folder(kept.parent)
            if not kept.exists() or kept.read_bytes() != data:
                disk.replace(kept, data)
        except OSError as error:
            way = self._not_written(error)
        self.issuer.trouble = (
            f"the broker has root {version} of this fleet, and this home is at root "
            f"{self.chain.version}: it was restored from a backup of before: {way}"
        )

    def _tell(self) -> None:
        said = "; ".join(t for t in (self.issuer.trouble, self.chain.trouble) if t)
        if self.issuer.trouble and said != self._said:
            logger.warning("no order is signed: %s", said)
        elif said and said != self._said:
            logger.warning("%s", said)
        elif self._said and not said:
            logger.info("orders are signed under root %d of this home", self.chain.version)
        self._said = said

    def _files(self) -> tuple[object, ...]:
        settings = self.path / "controller.toml"  # it names the order key
        files = [self.path / chain.NEWEST, self.path / chain.FOLDER, settings]
        return tuple(_seen(file) for file in (*files, *([self._key] if self._key else [])))

    def publish(self, store: Transactions) -> None:
        """Puts the whole chain into the outbox, for devices that were offline for long."""
        fleet = self.issuer.root.fleet
        with store.write() as connection:
            for version, data in self.chain.envelopes.items():
                topic = topics.root(fleet, version)
                if outbox.holds(connection, topic) != data:
                    outbox.put(connection, [topic], data)


def _seen(path: Path) -> tuple[int, ...]:
    """Returns what changes when a file is replaced or written; () if there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino)
