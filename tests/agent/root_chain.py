"""Roots of trust that follow one another, for tests."""

from modelwave_shared import topics
from tests import signing

NEW_KEY = signing.Key(6)  # another order key
NEW_ROOT_KEYS = [signing.Key(11), signing.Key(12), signing.Key(13)]


def document(version, order_key=signing.ORDER_KEY, root_keys=signing.ROOT_KEYS, **changes):
    """The root with this version, whose order role has `order_key` alone."""
    made = signing.root(version=version)
    keys = [*root_keys, signing.RELEASE_KEY, order_key]
    made["keys"] = {key.id: key.public.hex() for key in keys}
    made["roles"]["root"]["keyids"] = [key.id for key in root_keys]
    made["roles"]["order"]["keyids"] = [order_key.id]
    return {**made, **changes}


def publish(world, root, *keys):
    """Retains the root, signed by two of the fleet's first root keys unless others are named."""
    world.retained[topic(root["version"])] = signing.envelope(
        "root", root, *(keys or signing.ROOT_KEYS[:2])
    )


def topic(version):
    return topics.root("demo", version)
