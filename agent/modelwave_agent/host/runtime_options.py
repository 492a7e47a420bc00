"""The options that say how a model is loaded, of the programs that run models: those that prove a
model, run it in shadow, and make and examine golden sets."""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from modelwave_agent.host.runtimes.port import RuntimeSettings
from modelwave_shared import fields, manifests, strict_json
from modelwave_shared.errors import DocumentError
from modelwave_shared.words import TFLITE


def add_runtime_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that say how a model is loaded: format, loading, settings."""
    parser.add_argument("--format", default=TFLITE, type=_format, help="of the model's file")
    parser.add_argument(
        "--loading",
        default={},
        type=checked_by(manifests.loading, "loading"),
        metavar="JSON",
        help="as in the manifest",
    )
    parser.add_argument(
        "--settings",
        default=RuntimeSettings(),
        type=_settings,
        metavar="JSON",
        help="what this device allows its runtimes",
    )


def runtime_words(
    format_: str, loading: Mapping[str, Any], settings: RuntimeSettings
) -> dict[str, str]:
    """Returns these options with their values, as a program's command line has them."""
    return {
        "--format": format_,
        "--loading": json.dumps(loading),
        "--settings": json.dumps(asdict(settings)),
    }


def checked_by(rule: Callable[[Any, str], None], field: str) -> Callable[[str], Any]:
    """Returns the type of an option that is JSON, checked by a rule of the documents."""

    def checked(text: str) -> Any:
        try:
            value = strict_json.loads(text.encode())
            rule(value, field)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return value

    return checked


def _format(text: str) -> str:
    try:
        fields.name(text, "format")
    except DocumentError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _settings(text: str) -> RuntimeSettings:
    try:
        given = strict_json.loads(text.encode())
        lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
        return RuntimeSettings(**(given | lists))
    except (ValueError, TypeError, AttributeError) as error:
        raise argparse.ArgumentTypeError(f"settings: {error}") from error
