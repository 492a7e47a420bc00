"""The accelerator of a host, as agent.toml names it: Coral's Edge TPU, or a Jetson's GPU."""

from modelwave_agent.host import edgetpu, jetson

EDGETPU, JETSON = "edgetpu", "jetson"
ACCELERATORS = ("", EDGETPU, JETSON)
EDGETPU_LIBRARY = "libedgetpu.so.1"


class Accelerator:
    """One of ACCELERATORS, which is there."""

    def __init__(self, kind: str) -> None:
        """Raises ProofError if its library, or the accelerator, is not there."""
        self.kind = kind
        self._edgetpu_version = ""
        if kind == EDGETPU:
            self._edgetpu_version = edgetpu.runtime_version(EDGETPU_LIBRARY)
        elif kind == JETSON:
            jetson.require()

    def described(self) -> str:
        """Returns it with its detail: "edgetpu/14" (the library's runtime version) or "jetson/15W"
        (the power mode, which may change)."""
        detail = jetson.power_mode() if self.kind == JETSON else self._edgetpu_version
        return f"{self.kind}/{detail}" if detail else self.kind
