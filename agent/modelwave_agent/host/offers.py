"""The runtimes that a host offers, each name with its version, which a release's `needs.runtime` is
compared with:

    the distribution   ai-edge-litert 2.3.0   in its own numbering
    with a provider    onnxruntime+cuda 1.32.0   where ONNX Runtime may compute, one name for each
    the format         tflite 2.23.0          in TensorFlow Lite's numbering, in which converters
                                              write the least version that a model needs

tflite-runtime has the number of the TensorFlow that it was built from. ai-edge-litert, which
followed it, counts anew from 1.0, so LITERT_VERSIONS translates."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from modelwave_agent.host.proving import DeviceRuntimes
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_agent.ports import Ports
from modelwave_shared import fields
from modelwave_shared.errors import DocumentError
from modelwave_shared.fit import numbers

if TYPE_CHECKING:
    from modelwave_agent.types import Document

AI_EDGE_LITERT = "ai-edge-litert"

# (version of ai-edge-litert, version of TensorFlow Lite whose operators it has), the newest first;
# each row is for all later versions up to the next row, also for those that are newer than this
# table: operators are added, not removed.
# Source, from 1.1.0 on: github.com/google-ai-edge/LiteRT, at the tag of the version: the greatest
# version that runtime_version.cc (in tflite/tools/versioning, later tflite/converter/tools/
# versioning) gives to an operator. Converters write that number into a model, as
# min_runtime_version. At each tag register.cc has all operators of that file but STABLEHLO_CBRT.
# (TFLITE_VERSION_STRING is no source: it is 2.19.0 at all tags from 2.1.0 on.) Version 1.0 has no
# such files; it was made in September 2024, after TensorFlow 2.17 of July.
LITERT_VERSIONS = (
    ("2.1.6", "2.23.0"),
    ("2.1.3", "2.22.0"),
    ("2.0.2", "2.21.0"),
    ("1.3.0", "2.20.0"),
    ("1.1.0", "2.19.0"),
    ("1.0.0", "2.17.0"),
)


def format_version(name: str, version: str) -> str:
    """Returns the version of the format's own runtime that the distribution `name` in `version`
    stands for; "" if `version` cannot be read."""
    if name != AI_EDGE_LITERT:
        return version
    known = (tflite for least, tflite in LITERT_VERSIONS if numbers(version) >= numbers(least))
    return next(known, "")


def offered(runtimes: Iterable[HostRuntime]) -> dict[str, str]:
    """Returns {name: version} of what these runtimes offer; the first one counts where two have
    the same name."""
    found: dict[str, str] = {}
    for runtime in runtimes:
        found.setdefault(runtime.format, format_version(runtime.name, runtime.version))
        for name in (runtime.name, *runtime.offers):
            found.setdefault(name, runtime.version)
    return found


def reported(
    runtimes: Iterable[HostRuntime], first: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Returns `first`, and as many of the names that `offered` gives as a report has room for, the
    first ones: a controller refuses a report with more."""
    found = dict(first)
    for name, version in offered(runtimes).items():
        more = found | {name: version}
        try:
            fields.extra({"runtimes": more}, "extra")
        except DocumentError:
            break
        found = more
    return found


class HostPorts(Ports):
    """The ports of a host, which may offer several runtimes, each under several names."""

    runtime: DeviceRuntimes

    def has(self, bank: int, flash: "int | None" = None, ram: "int | None" = None) -> "Document":
        found = super().has(bank, flash, ram)
        runtimes = offered(self.runtime.installed)
        return found | {
            "runtime_version": runtimes[self.runtime.format],
            "runtimes": runtimes,
        }
