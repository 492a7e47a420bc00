"""Finds the runtime for a model's format: ours, and those of other packages by entry point.

[project.entry-points."modelwave.runtimes"]
sklearn-json = "trees.runtime:TreesRuntime"      # format = a subclass of HostRuntime
"""

import contextlib
from functools import cache, partial
from importlib import import_module
from importlib.metadata import distributions

from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings, surely
from modelwave_agent.ports import ProofError
from modelwave_agent.record import said
from modelwave_shared import fields
from modelwave_shared.rules import shown
from modelwave_shared.words import ONNX, TFLITE

GROUP = "modelwave.runtimes"
OURS = {
    TFLITE: "modelwave_agent.host.runtimes.litert:LiteRT",
    ONNX: "modelwave_agent.host.runtimes.onnx:OnnxRuntime",
}


def make(format_: str, settings: RuntimeSettings) -> HostRuntime:
    """Returns a new runtime for models of this format. Raises ProofError if there is none, if it is
    not installed, or for whatever a package of somebody else raises, and MemoryError."""
    known = formats()
    if format_ not in known:
        raise ProofError(f"no runtime for the format {format_}: here are {', '.join(known)}")
    try:
        return _made(format_, known[format_], settings)
    except MemoryError:
        raise
    except ProofError as error:
        raise ProofError(f"the runtime for the format {format_}: {error}") from error
    except (Exception, SystemExit) as error:
        raise ProofError(f"the runtime for the format {format_}: {said(error)}") from error


def _made(format_: str, value: str, settings: RuntimeSettings) -> HostRuntime:
    module, _, name = value.partition(":")
    found = getattr(import_module(module), name)
    if not (isinstance(found, type) and issubclass(found, HostRuntime)):
        raise ProofError(f"{value} is none")
    runtime = found(settings)
    if runtime.format != format_:
        raise ProofError(f"{value} says that its format is {shown(runtime.format)}")
    fields.token(runtime.name, "its name")  # both are in the device's report
    fields.token(runtime.version, "its version")
    for offer in runtime.offers:
        fields.token(offer, "its offers")
    return runtime


@cache
def formats() -> dict[str, str]:
    """Returns {format: "module:class"}, ours first. An entry point cannot replace one of ours."""
    found = dict(OURS)
    for package in distributions():
        # Metadata that cannot be read, and a name that no manifest can have, are passed over.
        with contextlib.suppress(Exception):
            for entry in package.entry_points.select(group=GROUP):
                fields.name(entry.name, "")
                found.setdefault(entry.name, entry.value)
    return found


def installed(settings: RuntimeSettings) -> list[HostRuntime]:
    """Returns a runtime for each format that this device can run, ours first. Raises ProofError
    if there is none. It is asked once in a life, and orders for a runtime that is missing then are
    refused; so one whose files cannot be read is tried again."""
    found, problems = [], []
    for format_ in formats():
        try:
            found.append(surely(partial(make, format_, settings)))
        except ProofError as error:
            problems.append(str(error))
    if not found:
        raise ProofError("; ".join(problems))
    return found
