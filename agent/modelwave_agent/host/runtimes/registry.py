"""Finds the runtime for a model's format: ours, and those of other packages by entry point.

[project.entry-points."modelwave.runtimes"]
sklearn-json = "trees.runtime:TreesRuntime"      # format = a subclass of HostRuntime
"""

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from modelwave_agent.host.runtimes.port import HostRuntime, RuntimeSettings
from modelwave_agent.ports import ProofError
from modelwave_agent.record import said
from modelwave_shared import fields
from modelwave_shared.errors import DocumentError
from modelwave_shared.words import ONNX, TFLITE

GROUP = "modelwave.runtimes"
OURS = {
    TFLITE: "modelwave_agent.host.runtimes.litert:LiteRT",
    ONNX: "modelwave_agent.host.runtimes.onnx:OnnxRuntime",
}


def make(format_: str, settings: RuntimeSettings) -> HostRuntime:
    """Returns a new runtime for models of this format. Raises ProofError if there is none, or if it
    is not installed."""
    known = formats()
    if format_ not in known:
        raise ProofError(f"no runtime for the format {format_}: here are {', '.join(known)}")
    module, _, name = known[format_].partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ProofError(f"the runtime for the format {format_}: {said(error)}") from error
    if not (isinstance(found, type) and issubclass(found, HostRuntime)):
        raise ProofError(f"the runtime for the format {format_}: {known[format_]} is none")
    return found(settings)


@cache
def formats() -> dict[str, str]:
    """Returns {format: "module:class"}, ours first. An entry point cannot replace one of ours."""
    found = dict(OURS)
    for entry in entry_points(group=GROUP):
        try:
            fields.name(entry.name, "")
        except DocumentError:
            continue  # no manifest can name it
        found.setdefault(entry.name, entry.value)
    return found


def installed(settings: RuntimeSettings) -> list[HostRuntime]:
    """Returns a runtime for each format that this device can run, ours first. Raises ProofError
    if there is none."""
    found, problems = [], []
    for format_ in formats():
        try:
            found.append(make(format_, settings))
        except ProofError as error:
            problems.append(str(error))
    if not found:
        raise ProofError("; ".join(problems))
    return found
