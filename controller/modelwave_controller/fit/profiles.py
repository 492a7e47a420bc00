"""Profiles of firmware: the compiler's ABI, the kernel library, and the date of its release.
Their names are the values of `--profile`.

Where `derived` names a source, no such firmware was measured: all figures follow from that source,
and every output says so."""

import difflib
from dataclasses import dataclass
from datetime import date

from modelwave_controller.errors import OperatorError

MEASURED = date(2026, 8, 20)  # tflite-micro 90b983c2
ESP_NN = "esp-nn d45b843 and esp-tflite-micro 99f49e1"
PYPI = date(2026, 9, 30)  # tflite_micro 0.dev20260930024714


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of firmware. `abi` is one of sizes.toml, `library` one of kernels.toml.
    `released` is the day of the tflite-micro commit: firmware built from an older one refuses
    more. `derived` is the source of the figures if no firmware was measured."""

    name: str
    abi: str
    library: str
    dsp: bool
    description: str
    released: date = MEASURED
    derived: str = ""


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "cortex-m4:reference", "arm-eabi", "reference", True, "Cortex-M4, reference kernels"
        ),
        Profile("cortex-m4:cmsis-nn", "arm-eabi", "cmsis-nn", True, "Cortex-M4, CMSIS-NN"),
        Profile("cortex-m0plus:cmsis-nn", "arm-eabi", "cmsis-nn", False, "Cortex-M0+, CMSIS-NN"),
        Profile("esp32:reference", "esp32", "reference", False, "ESP32, reference kernels"),
        Profile(
            "cortex-m55:cmsis-nn",
            "arm-eabi",
            "cmsis-nn-mve",
            True,
            "Cortex-M55, CMSIS-NN",
            derived="CMSIS-NN 4ab83cc3",
        ),
        Profile("esp32:esp-nn", "esp32", "esp-nn", False, "ESP32, esp-nn", derived=ESP_NN),
        Profile("esp32s3:esp-nn", "esp32", "esp-nn-s3", False, "ESP32-S3, esp-nn", derived=ESP_NN),
        Profile("x86-64:reference", "x86-64", "reference", False, "x86-64, reference kernels"),
        Profile("x86-64:pypi", "x86-64-pypi", "pypi", False, "x86-64, PyPI's tflite_micro", PYPI),
    )
}


def profile(name: str) -> Profile:
    """Returns the profile of that name. Raises OperatorError, with the nearest names, if there
    is none."""
    if name not in PROFILES:
        near = difflib.get_close_matches(name[:100], PROFILES, cutoff=0.4) or list(PROFILES)
        raise OperatorError(f"profile {name[:100]!r} is unknown; perhaps {', '.join(near)}")
    return PROFILES[name]
