"""Writes a model as C++: its bytes as an array, and the operators to register in TFLM.

NAME_model.h      the array's name and length, its sha256, the arena by profile
NAME_model.cc     the bytes, aligned as FlatBuffers needs them; does not depend on TFLM
NAME_resolver.h   the MicroMutableOpResolver for this model
NAME_model.json   sha256 and size of the bytes, by which `release create --holds` finds them in an
                  image (releases/firmware.py)"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelwave_controller import disk
from modelwave_controller.errors import OperatorError
from modelwave_controller.fit.kernel_data import load_tables
from modelwave_controller.models.inspection import Inspection

ALIGNMENT = 16  # as tflite-micro aligns its models; kernels read the weights in place
BYTES_A_LINE = 12
# Add… methods of MicroMutableOpResolver whose names do not follow the rule of `method`.
SIGNAL = "Signal"  # custom operators that TFLM has: AddRfft for SignalRfft
METHODS = {
    "TFLite_Detection_PostProcess": "DetectionPostprocess",
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
}


@dataclass(frozen=True, slots=True)
class Names:
    """The identifiers in C++ that are made from a name such as "digits-v2"."""

    snake: str  # digits_v2
    camel: str  # DigitsV2

    @classmethod
    def of(cls, name: str) -> "Names":
        words = [word for word in re.split(r"[^A-Za-z0-9]+", name) if word]
        if not words:
            raise OperatorError(f"--name: {name[:40]!r} has no letters or digits for C")
        if words[0][0].isdigit():
            words.insert(0, "model")
        return cls(
            "_".join(words).lower(), "".join(word[0].upper() + word[1:].lower() for word in words)
        )


def write_c_array(
    inspection: Inspection, name: str, profiles: Iterable[str], folder: Path
) -> list[Path]:
    """Writes the files into `folder`, replaces older ones, and returns their paths.
    Raises OperatorError if a profile refuses the model."""
    names = Names.of(name)
    arenas = {profile: _arena(inspection, profile) for profile in profiles}
    names_of = {operator.name: operator.custom for operator in inspection.model().operators}
    custom = sorted(name for name, is_custom in names_of.items() if is_custom and not known(name))
    operators = sorted(names_of.keys() - set(custom))
    files = {
        f"{names.snake}_model.h": [header(inspection, names, arenas)],
        f"{names.snake}_model.cc": source(inspection, names),
        f"{names.snake}_resolver.h": [resolver(names, operators, custom)],
        f"{names.snake}_model.json": [record(inspection.data)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    for file, parts in files.items():
        with disk.naming(folder / file), open(folder / file, "w", encoding="ascii") as out:
            out.writelines(parts)
    return [folder / file for file in files]


def _arena(inspection: Inspection, profile: str) -> int | None:
    fit = inspection.fit(profile)
    if fit.refused:
        raise OperatorError(f"{inspection.name}: {profile} refuses it: {fit.refused}")
    return fit.need


def header(inspection: Inspection, names: Names, arenas: dict[str, int | None]) -> str:
    data = inspection.data
    guard = f"{names.snake.upper()}_MODEL_H_"
    lines = [
        f"// {_comment(inspection.name)}: {len(data)} bytes",
        f"// sha256 {hashlib.sha256(data).hexdigest()}",
        "// Made by `modelwave model export`.",
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        f"extern const unsigned char g_{names.snake}_model[];",
        f"extern const unsigned int g_{names.snake}_model_len;",
        "",
        f"constexpr char k{names.camel}Sha256[] =",
        f'    "{hashlib.sha256(data).hexdigest()}";',
        "",
        f"// The smallest tensor arena for this model; align it to {ALIGNMENT} bytes.",
    ]
    for profile, need in arenas.items():
        fit = inspection.fit(profile)
        suffix = "" if len(arenas) == 1 else "_" + re.sub(r"[^a-z0-9]", "_", profile)
        if need is None:
            lines.append(f"// {profile}: unknown: {_comment(fit.unknown or '')}")
            continue
        if fit.derived:
            lines.append(f"// {_comment(fit.derived)}")
        lines.append(
            f"constexpr unsigned int k{names.camel}ArenaBytes{suffix} = {need};  // {profile}"
        )
    return "\n".join([*lines, "", f"#endif  // {guard}", ""])


def record(data: bytes) -> str:
    return json.dumps({"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}) + "\n"


def source(inspection: Inspection, names: Names) -> Iterator[str]:
    """Yields the .cc file in pieces, as its text is six times as large as the model."""
    yield f'#include "{names.snake}_model.h"\n\n'
    yield f"alignas({ALIGNMENT}) const unsigned char g_{names.snake}_model[] = {{\n"
    data = inspection.data
    for at in range(0, len(data), BYTES_A_LINE):
        yield "    " + data[at : at + BYTES_A_LINE].hex(",").replace(",", ", 0x").join(
            ("0x", ",\n")
        )
    yield f"}};\n\nconst unsigned int g_{names.snake}_model_len = {len(data)};\n"


def resolver(names: Names, operators: list[str], custom: list[str]) -> str:
    guard = f"{names.snake.upper()}_RESOLVER_H_"
    count = len(operators) + len(custom)
    lines = [
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        '#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"',
        "",
        f"using {names.camel}Resolver = tflite::MicroMutableOpResolver<{count}>;",
        "",
        f"inline TfLiteStatus Add{names.camel}Operators({names.camel}Resolver& resolver) {{",
        *(
            f"  if (resolver.{method(name)}() != kTfLiteOk) return kTfLiteError;"
            for name in operators
        ),
        *(f'  // Yours: resolver.AddCustom("{_comment(name)}", ...)' for name in custom),
        "  return kTfLiteOk;" if count else "  (void)resolver;\n  return kTfLiteOk;",
        "}",
        "",
        f"#endif  // {guard}",
        "",
    ]
    return "\n".join(lines)


def known(custom: str) -> bool:
    """Returns whether TFLM has a kernel for a custom operator."""
    kernel = load_tables("arm-eabi", "reference").kernels.get(custom)
    return kernel is not None and kernel.custom


def method(operator: str) -> str:
    """Returns the resolver's method for an operator: AddConv2D for "CONV_2D",
    AddBatchToSpaceNd for "BATCH_TO_SPACE_ND"."""
    if operator in METHODS:
        return f"Add{METHODS[operator]}"
    if operator.startswith(SIGNAL):
        return f"Add{operator.removeprefix(SIGNAL)}"
    words = (
        word if re.fullmatch(r"\d+D", word) or word == "LSTM" else word.capitalize()
        for word in operator.split("_")
    )
    return "Add" + "".join(words)


def _comment(text: str) -> str:
    """Replaces everything that is not printable ASCII, so that it cannot end the comment."""
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)
