"""The checks of single settings: each takes the value from the TOML file and returns it in the form
that the program uses, or raises ValueError with the values that are allowed."""

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

from modelwave_agent.host.accelerators import ACCELERATORS
from modelwave_agent.host.redirects import MAX_HOSTS, RedirectHost
from modelwave_shared import fields, local_time
from modelwave_shared.errors import DocumentError
from modelwave_shared.limits import MAX_BYTES, MAX_FILE_HOSTS, MAX_KERNELS, MAX_MODELS
from modelwave_shared.rules import ListOf

MAX_THREADS = 256
MAX_FROZEN_HOURS = 24 * 365


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError("give a text in quotes, on one line")
    return value


def zone(value: Any) -> tzinfo | None:
    return local_time.zone_of(value) if text(value) else None


def folder_path(value: Any) -> str:
    if not text(value):
        raise ValueError("give a path")
    return str(value)


def byte_count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_BYTES:
        raise ValueError(f"give bytes, from 0 to {MAX_BYTES}")
    return value


def kernels(value: Any) -> tuple[str, ...]:
    return _listed(value, ListOf(fields.token, 0, MAX_KERNELS), 'operators: ["CONV_2D", "SOFTMAX"]')


def _listed(value: Any, check: ListOf, example: str) -> tuple[str, ...]:
    try:
        check(value, "")
    except DocumentError as error:
        problem = str(error).removeprefix(": ")  # else it is of one entry, such as "[2]: …"
        raise ValueError(f"give a list of {example}; {problem}") from error
    return tuple(value)


def file_hosts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_FILE_HOSTS:
        raise ValueError(f'give at most {MAX_FILE_HOSTS} hosts as a list: ["files.example.org"]')
    return tuple(checked(fields.file_host)(text(host).lower()) for host in value)


def redirect_hosts(value: Any) -> tuple[RedirectHost, ...]:
    if not isinstance(value, list) or len(value) > MAX_HOSTS:
        raise ValueError(f'give at most {MAX_HOSTS} hosts as a list: ["cdn.example.org"]')
    return tuple(RedirectHost.of(text(host)) for host in value)


def accelerator(value: Any) -> str:
    if value not in ACCELERATORS:
        raise ValueError("give one of " + ", ".join(f'"{name}"' for name in ACCELERATORS))
    return str(value)


def threads(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_THREADS:
        raise ValueError(f"give threads, from 1 to {MAX_THREADS}; 0 leaves it to the runtime")
    return value


def some_of(words: tuple[str, ...]) -> Callable[[Any], tuple[str, ...]]:
    def checked(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(one in words for one in value):
            raise ValueError("give a list of " + ", ".join(f'"{one}"' for one in words) + "; or []")
        if len(set(value)) != len(value):
            raise ValueError("one of them is named twice; name it once")
        return tuple(value)

    return checked


def yes_or_no(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("give true or false")
    return value


def seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.1 <= value <= 86400:
        raise ValueError("give seconds, from 0.1 to 86400")
    return float(value)


def hours(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_FROZEN_HOURS:
        raise ValueError(f"give hours, from 1 to {MAX_FROZEN_HOURS}")
    return value


def command(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(part, str) and part for part in value):
        raise ValueError('give a command as a list: ["/usr/bin/reload", "vision"]')
    if any("\0" in part for part in value):
        raise ValueError("a part of the command has a NUL character, which no program can be given")
    return tuple(value)


def models(value: Any) -> tuple[str, ...]:
    found = _listed(value, ListOf(fields.name, 1, MAX_MODELS), 'models: ["digits"]')
    if len(set(found)) != len(found):
        raise ValueError("a model is named twice; name it once")
    return found


def checked(check: Callable[[Any, str], None]) -> Callable[[Any], str]:
    def checked(value: Any) -> str:
        try:
            check(value, "")
        except DocumentError as error:
            raise ValueError(error.problem) from error
        return str(value)

    return checked
