"""Compares what a release needs with what a device has, and lists the shortfalls with numbers.

The controller does this before it starts a rollout (from the device's last report), the device
before it accepts an order. `has` is
    {"flash": free bytes, "ram": largest free piece, "runtime": name or "",
     "runtime_version": "2.14.0" or "", "accelerator": "", name or "name/detail",
     "kernels": list of operators, or None if the runtime has all of them,
     "runtimes": {name: version} of all runtimes; absent: only the one in "runtime"}
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelwave_shared.fields import Document

_TEXT = "%s: needs %s, has %s"


def shortfalls(needs: "Document", has: "Document") -> list[str]:
    """Returns a list of texts, one for each need that is not met; [] means that it fits."""
    found = []
    for field in ("flash", "ram"):
        wanted, there = needs[field], has[field]
        if wanted > there:
            found.append(
                "%s: %d bytes missing (needs %d, has %d)" % (field, wanted - there, wanted, there)
            )
    offers = has.get("runtimes") or {has["runtime"]: has["runtime_version"]}
    if not any([runtime_serves(needs["runtime"], name, offers[name]) for name in offers]):
        there = ", ".join(sorted([(name + " " + offers[name]).strip() for name in offers]))
        found.append(_TEXT % ("runtime", needs["runtime"], there or "none"))
    wanted, there = needs["accelerator"], has["accelerator"]
    if wanted and not accelerator_serves(wanted, there):
        found.append(_TEXT % ("accelerator", wanted, there or "none"))
    if has["kernels"] is not None:
        lacking = [kernel for kernel in needs["kernels"] if kernel not in has["kernels"]]
        if lacking:
            found.append("kernels: lacks " + ", ".join(lacking))
    return found


def runtime_serves(needed: str, name: str, version: str) -> bool:
    """Whether runtime `name` in `version` meets `needed`, such as "tflite" or "tflite>=2.14".
    An unknown version of the device meets no minimum; a minimum that is not numbers is met by
    no version."""
    wanted, asked, least = needed.partition(">=")
    if wanted != name or not asked:
        return wanted == name
    lowest = numbers(least)
    readable = len(lowest) == len(least.split("."))
    return readable and numbers(version) >= lowest


def accelerator_serves(needed: str, has: str) -> bool:
    """Whether the accelerator `has` meets `needed`. A device reports a detail after a slash: the
    version of an Edge TPU's runtime ("edgetpu/14"), a Jetson's power mode ("jetson/15W").
    "edgetpu" is met with any detail, "jetson/15W" only with this one, "edgetpu>=13" like a
    runtime's version."""
    name, _, detail = has.partition("/")
    return needed == has if "/" in needed else runtime_serves(needed, name, detail)


def numbers(version: str) -> list[int]:
    """Returns "2.14.0" as [2, 14, 0], for comparing; it stops at a part that is not a number."""
    found = []
    for part in version.split("."):
        if not part.isdigit():
            break
        found.append(int(part))
    return found
