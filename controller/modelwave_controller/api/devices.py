"""The calls about devices."""

import re
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema

from modelwave_controller.api.call import DELETE, GET, POST, Asked, Call
from modelwave_controller.api.words import NameOf
from modelwave_controller.people.roles import OPERATE, VIEW
from modelwave_controller.results.device_history import DeviceHistory
from modelwave_controller.results.devices import DevicePage, Forgotten
from modelwave_shared.limits import MAX_NAME
from modelwave_shared.words import OUTCOMES

PAGE = 500  # devices
MAX_TAGGED = 10_000


def _is_part(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_-]+", text):
        raise ValueError(f"{text[:40]!r} is in no device's name: give some of a-z, 0-9, _ and -")
    return text


def _is_outcome(word: str) -> str:
    if word not in OUTCOMES:
        raise ValueError(f"{word[:40]!r} is none of {', '.join(OUTCOMES)}")
    return word


PartOfName = Annotated[str, AfterValidator(_is_part), Field(min_length=1, max_length=MAX_NAME)]
# That a device reports of an order.
Outcome = Annotated[str, AfterValidator(_is_outcome), WithJsonSchema({"enum": [*OUTCOMES]})]


class List(Asked):
    """Devices to which all of it applies, by name, after the device `after`; at most `limit`.
    `named`: with this in their names; `outcome`: with this last answer, of `model` or of any;
    `gateway`: that are reached through it."""

    named: PartOfName | None = None
    target: NameOf | None = None
    tag: NameOf | None = None
    model: NameOf | None = None
    not_on: Annotated[int, Field(ge=0, le=999_999_999)] | None = None
    outcome: Outcome | None = None
    gateway: NameOf | None = None
    offline: bool = False
    trouble: bool = False
    after: NameOf | None = None
    limit: Annotated[int, Field(ge=1, le=PAGE)] = PAGE


class One(Asked):
    device: NameOf


class Tag(Asked):
    """`add` and `remove` tags of these devices."""

    devices: list[NameOf] = Field(min_length=1, max_length=MAX_TAGGED)
    add: list[NameOf] = Field([], max_length=16)
    remove: list[NameOf] = Field([], max_length=16)


_call = partial(Call, "devices")

LIST: Call[List, DevicePage] = _call(
    "listDevices", GET, "/devices", List, DevicePage, VIEW, "Known and enrolled devices."
)
SHOW: Call[One, dict[str, Any]] = _call(
    "showDevice",
    GET,
    "/devices/{device}",
    One,
    dict[str, Any],
    VIEW,
    "A device's last report, and what it observed of each model.",
)
HISTORY: Call[One, DeviceHistory] = _call(
    "showDeviceHistory",
    GET,
    "/devices/{device}/history",
    One,
    DeviceHistory,
    VIEW,
    "What a device should run now, what it answered and measured, and what was done to it.",
)
TAG: Call[Tag, dict[str, list[str]]] = _call(
    "tagDevices",
    POST,
    "/tags",
    Tag,
    dict[str, list[str]],
    OPERATE,
    "Add tags to devices and remove others: all that each has then.",
)
FORGET: Call[One, Forgotten] = _call(
    "forgetDevice",
    DELETE,
    "/devices/{device}",
    One,
    Forgotten,
    OPERATE,
    "Forget a device that is gone for good; its tags are kept.",
)
CALLS = (LIST, SHOW, HISTORY, TAG, FORGET)
