"""The next root of a test's fleet, signed by as many of its root keys as a test wants."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rollout_world import PASSPHRASE, World

from modelwave_controller.home import Home
from modelwave_controller.service.roots_in_use import RootsInUse
from modelwave_controller.trust import chain, drafts, keys
from modelwave_controller.trust.keys import SigningKey


def root_keys(home: Home) -> list[SigningKey]:
    return [key(home.offline / f"root-{n}.key") for n in (1, 2, 3)]


def key(path: Path) -> SigningKey:
    return keys.load_key(path, lambda: PASSPHRASE)


def next_root(
    home: Home,
    *changes: Callable[[dict[str, Any]], dict[str, Any]],
    signers: Sequence[SigningKey] = (),
) -> bytes:
    """The envelope of the root after the home's newest one, with these changes."""
    before = Home(home.path).root_document
    document = drafts.next_of(before, 1_800_000_000)
    for change in changes:
        document = change(document)
    signing = signers or root_keys(home)[:2]
    return drafts.signed(drafts.drafted(document), signing, before).envelope()


def publish(home: Home, *changes: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    data = next_root(home, *changes)
    chain.write(home.path, Home(home.path).chain.followed_by(data, "a test's root"))
    return data


def new_order_key(home: Home) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Puts a new order key into the home; returns the change that trusts it alone."""
    (home.path / "order.key").unlink()
    made = keys.create_key(home.path / "order.key", None)
    old = Home(home.path).root.roles.order.keyids
    return lambda root: drafts.rotated(root, "order", old, [made.public], None)


def epoch(home: Home) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda root: drafts.in_next_epoch(root, Home(home.path).root_document)


class Following:
    """A world whose ticker follows the roots of its home, as a service does."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.issuer.in_home = world.home.manifest_at
        self.roots = RootsInUse(world.home, world.issuer)

    def tick(self) -> None:
        self.roots.look()
        self.world.tick()
