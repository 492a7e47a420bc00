"""The runtimes that a device offers, by its report: one in `runtime` and `runtime_version`; newer
agents report all in `extra.runtimes`, {name: version}.

The column `runtime` has the first one's name, whose version is in the column `runtime_version`, and
after it the others, each with its own version: "tflite, ai-edge-litert 2.3.0"."""

from typing import Any

from modelwave_controller.trust.documents import Report
from modelwave_shared.errors import DocumentError
from modelwave_shared.fields import token
from modelwave_shared.fit import numbers

# Agents from before `extra.runtimes` report ai-edge-litert's own number as that of tflite. There is
# no tflite-runtime below 2.5 for a Python that runs an agent.
_TFLITE_SINCE = [2, 5]
_BETWEEN = ", "  # no word has a comma or a space


def column(report: Report) -> str:
    """Returns the text for the column `runtime`."""
    others = _others(report.runtime, report.extra.get("runtimes"))
    return _BETWEEN.join([report.runtime, *others])


def _others(first: str, said: Any) -> list[str]:
    """Returns the further runtimes; none if `extra.runtimes` is no table of words."""
    if not isinstance(said, dict):
        return []
    try:
        for version in said.values():
            token(version, "extra.runtimes")
    except DocumentError:
        return []
    return [f"{name} {version}" for name, version in sorted(said.items()) if name != first]


def runtimes(runtime: str, runtime_version: str) -> dict[str, str]:
    """Returns {name: version} from the two columns; the first one is `runtime` of the report."""
    first, *others = runtime.split(_BETWEEN)
    found = {first: runtime_version} if first else {}
    for other in others:
        name, _, version = other.partition(" ")
        found[name] = version
    return found


def own_numbering(offered: dict[str, str]) -> bool:
    """Returns whether the device's agent compares the number of ai-edge-litert with a need for a
    version of TensorFlow Lite, so that it rejects what it could run."""
    version = numbers(offered.get("tflite", ""))
    return len(offered) == 1 and [1] <= version < _TFLITE_SINCE
