"""Finds the subscribers of a topic and the topics of a filter (MQTT 3.1.1, section 4.7). Pure.

    Subscriptions   filters without wildcards are keys of a dictionary, those with wildcards a tree
    Topics          values by topic, and a tree of the topics' levels for filters with wildcards

A message costs a look into the dictionary and a walk along its own levels, however many devices
have subscribed; a filter costs what it finds.
"""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

S = TypeVar("S", bound=Hashable)
V = TypeVar("V")

PLUS, HASH = "+", "#"


def is_filter(text: str, max_levels: int) -> bool:
    """Returns whether this is a topic filter: wildcards are whole levels, and # is the last."""
    levels = text.split("/")
    if not text or len(levels) > max_levels:
        return False
    if any(len(level) > 1 and (PLUS in level or HASH in level) for level in levels):
        return False
    return HASH not in levels[:-1]


def has_wildcard(text: str) -> bool:
    return PLUS in text or HASH in text


class _Node(Generic[S]):
    __slots__ = ("below", "here")

    def __init__(self) -> None:
        self.below: dict[str, _Node[S]] = {}
        self.here: dict[S, int] = {}


class Subscriptions(Generic[S]):
    """Who subscribed to which filters, with which QoS."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[S, int]] = {}
        self._tree: _Node[S] = _Node()

    def add(self, topic_filter: str, who: S, qos: int) -> None:
        if not has_wildcard(topic_filter):
            self._exact.setdefault(topic_filter, {})[who] = qos
            return
        node = self._tree
        for level in topic_filter.split("/"):
            node = node.below.setdefault(level, _Node())
        node.here[who] = qos

    def remove(self, topic_filter: str, who: S) -> None:
        if not has_wildcard(topic_filter):
            found = self._exact.get(topic_filter, {})
            found.pop(who, None)
            if not found:
                self._exact.pop(topic_filter, None)
            return
        path = [self._tree]
        levels = topic_filter.split("/")
        for level in levels:
            if level not in path[-1].below:
                return
            path.append(path[-1].below[level])
        path[-1].here.pop(who, None)
        while levels and not path[-1].here and not path[-1].below:
            path.pop()
            del path[-1].below[levels.pop()]

    def __bool__(self) -> bool:
        return bool(self._exact or self._tree.below)

    def of(self, topic: str) -> dict[S, int]:
        """Returns each subscriber of the topic, with the highest QoS of its filters that match."""
        found = dict(self._exact.get(topic, {}))
        if self._tree.below:
            for matching in self._matching(topic.split("/")):
                for who, qos in matching.items():
                    found[who] = max(qos, found.get(who, 0))
        return found

    def _matching(self, levels: list[str]) -> Iterator[dict[S, int]]:
        nodes = [self._tree]
        for level in levels:
            following: list[_Node[S]] = []
            for node in nodes:
                if HASH in node.below:
                    yield node.below[HASH].here
                following += (node.below[one] for one in (level, PLUS) if one in node.below)
            nodes = following
        for node in nodes:
            yield node.here
            if HASH in node.below:  # it also matches the level above it
                yield node.below[HASH].here


class _Branch:
    __slots__ = ("below", "is_topic")

    def __init__(self) -> None:
        self.below: dict[str, _Branch] = {}
        self.is_topic = False


class Topics(Generic[V]):
    """Values by topic. Topics have few levels: their users check it."""

    def __init__(self) -> None:
        self._values: dict[str, V] = {}
        self._tree = _Branch()

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def get(self, topic: str) -> V | None:
        return self._values.get(topic)

    def set(self, topic: str, value: V) -> None:
        if topic not in self._values:
            branch = self._tree
            for level in topic.split("/"):
                branch = branch.below.setdefault(level, _Branch())
            branch.is_topic = True
        self._values[topic] = value

    def remove(self, topic: str) -> None:
        if self._values.pop(topic, None) is None:
            return
        levels = topic.split("/")
        path = [self._tree]
        for level in levels:
            path.append(path[-1].below[level])
        path[-1].is_topic = False
        while levels and not path[-1].is_topic and not path[-1].below:
            path.pop()
            del path[-1].below[levels.pop()]

    def of(self, topic_filter: str) -> Iterator[str]:
        """Yields the topics that the filter matches."""
        if has_wildcard(topic_filter):
            yield from _matched(self._tree, "", topic_filter.split("/"))
        elif topic_filter in self._values:
            yield topic_filter


def _matched(branch: _Branch, above: str, levels: list[str]) -> Iterator[str]:
    """Yields the topics below a branch that the rest of a filter matches. `above` is the branch's
    own topic with a / behind it."""
    if branch.is_topic and levels in ([], [HASH]):
        yield above[:-1]
    if not levels:
        return
    first, rest = levels[0], levels[1:]
    if first in (PLUS, HASH):
        for level, below in branch.below.items():
            yield from _matched(below, f"{above}{level}/", levels if first == HASH else rest)
    elif first in branch.below:
        yield from _matched(branch.below[first], f"{above}{first}/", rest)
