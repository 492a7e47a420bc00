"""Loads and runs one model with its runtime alone: the judge of what modelwave says of it.

    PYTHON bare.py MODEL ANSWERS.npz [--inputs INPUTS.npz] [--shapes JSON] [--values JSON]

It imports nothing of modelwave, so any Python with a runtime can run it. Without --inputs it draws
them (seeded). ANSWERS.npz holds `inputs/NAME` and `outputs/NAME`, one record after the other. The
last line of its output is JSON: the runtime, and whether the model loads and runs, with and
without the runtime's default delegates."""

import argparse
import importlib.util
import json
import re
import resource
import sys
import zlib
from importlib import metadata

import numpy as np

RECORDS = 8
MEMORY_BYTES = 8 << 30
LITERT = ("tflite_runtime", "ai_edge_litert")
LARGEST_INTEGER = 128
INPUTS, OUTPUTS = "inputs/", "outputs/"  # of names in an .npz


class LiteRT:
    """`delegates`: with those that the runtime takes by default (XNNPACK)."""

    def __init__(self, path, shapes, delegates):
        package, module = first_runtime()
        self.runtime = package.replace("_", "-")
        self.version = metadata.version(self.runtime)
        kinds = module.OpResolverType
        kind = kinds.AUTO if delegates else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        made = module.Interpreter(model_path=path, experimental_op_resolver_type=kind)
        self._interpreter = made
        self.inputs, self.outputs = self._named()
        for name, shape in shapes.items():
            made.resize_tensor_input(self.inputs[name]["index"], shape)
        made.allocate_tensors()
        self.inputs, self.outputs = self._named()

    def _named(self):
        """Returns the tensors by the names of the model's signature, if it has exactly one, else
        by their own."""
        made = self._interpreter
        details = made.get_input_details(), made.get_output_details()
        signatures = made.get_signature_list()
        if len(signatures) != 1:
            return tuple({one["name"]: one for one in kind} for kind in details)
        runner = made.get_signature_runner(next(iter(signatures)))
        by_index = {one["index"]: one for kind in details for one in kind}
        named = runner.get_input_details(), runner.get_output_details()
        return tuple({key: by_index[one["index"]] for key, one in kind.items()} for kind in named)

    def specs(self):
        return {
            name: (
                np.dtype(one["dtype"]),
                [int(side) for side in one["shape"]],
                one["quantization"][0],
            )
            for name, one in self.inputs.items()
        }

    def run(self, given):
        for name, array in given.items():
            self._interpreter.set_tensor(self.inputs[name]["index"], array)
        self._interpreter.invoke()
        return {
            name: self._interpreter.get_tensor(one["index"]) for name, one in self.outputs.items()
        }


ONNX_TYPES = {"float": "float32", "double": "float64", "string": "object"}  # others: numpy's


class Onnx:
    def __init__(self, path, shapes, delegates):
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)
        self.runtime, self.version = "onnxruntime", onnxruntime.__version__
        self._shapes = shapes
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def specs(self):
        found = {}
        for one in self._session.get_inputs():
            kind = one.type.removeprefix("tensor(").removesuffix(")")
            shape = self._shapes.get(one.name, [n if isinstance(n, int) else 1 for n in one.shape])
            found[one.name] = np.dtype(ONNX_TYPES.get(kind, kind)), shape, 0
        return found

    def run(self, given):
        names = [one.name for one in self._session.get_outputs()]
        return dict(zip(names, self._session.run(None, given), strict=True))


def first_runtime():
    for package in LITERT:
        try:
            return package, importlib.import_module(package + ".interpreter")
        except ImportError:
            continue
    raise SystemExit("no TFLite runtime")


def introduce():
    """Prints this Python's version and its runtimes, as JSON."""
    package, _ = first_runtime()
    runtimes = [package.replace("_", "-")]
    if importlib.util.find_spec("onnxruntime"):
        runtimes.append("onnxruntime")
    version = ".".join(map(str, sys.version_info[:2]))
    print(json.dumps([version, [f"{name} {metadata.version(name)}" for name in runtimes]]))


def drawn(name, specs, values):
    """Returns RECORDS inputs, the same for all runtimes."""
    seeded = np.random.default_rng(zlib.crc32(name.encode()))
    return {key: one_input(seeded, *spec, values.get(key)) for key, spec in specs.items()}


def one_input(seeded, kind, shape, scale, value):
    shape = (RECORDS, *shape)
    if value is not None:
        return np.full(shape, value, kind)
    if kind.kind == "f":
        return seeded.random(shape).astype(kind)
    if kind.kind == "b":
        return seeded.integers(0, 2, shape).astype(kind)
    if scale:  # quantised: all of its range
        limits = np.iinfo(kind)
        return seeded.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)
    return seeded.integers(0, LARGEST_INTEGER, shape).astype(kind)


def tried(path, shapes, delegates):
    """Returns (model, "") or (None, why it does not load)."""
    made = Onnx if path.endswith(".onnx") else LiteRT
    try:
        return made(path, shapes, delegates), ""
    except Exception as error:  # each runtime has errors of its own
        return None, one_line(error)


def answers(model, inputs):
    found = [
        model.run({name: np.asarray(array[n]) for name, array in inputs.items()})
        for n in range(len(next(iter(inputs.values()))))
    ]
    # A model with resource variables answers by what it saw before: the records go in in order.
    return {name: np.stack([np.asarray(one[name]) for one in found]) for name in found[0]}


def one_line(error):
    """Without the advice that TFLite adds for authors of operators."""
    text = " ".join(str(error).split())
    return re.sub(r" See instructions: \S+.*", "", text)[:200]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("answers")
    parser.add_argument("--name", default="")
    parser.add_argument("--inputs", default="")
    parser.add_argument("--shapes", type=json.loads, default={})
    parser.add_argument("--values", type=json.loads, default={})
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    model, error = tried(options.model, options.shapes, delegates=False)
    plain = model is not None
    if model is None and not options.model.endswith(".onnx"):
        model, _ = tried(options.model, options.shapes, delegates=True)
    said = {"loads": plain, "loads_with_delegates": model is not None, "error": error}
    if model is not None:
        said |= {"runtime": f"{model.runtime} {model.version}"}
        said |= ran(model, options)
    print(json.dumps(said))


def ran(model, options):
    """Writes the answers, and returns what more is to be said of the model."""
    try:
        inputs = read(options.inputs) or drawn(options.name, model.specs(), options.values)
        outputs = answers(model, inputs)
    except Exception as problem:
        error = f"it does not run: {one_line(problem)}"
        return {"loads": False, "loads_with_delegates": False, "error": error}
    arrays = {f"{INPUTS}{name}": array for name, array in inputs.items()}
    arrays |= {f"{OUTPUTS}{name}": array for name, array in outputs.items()}
    np.savez_compressed(options.answers, **arrays)
    return {"inputs": len(inputs), "outputs": len(outputs)}


def read(path):
    if not path:
        return {}
    with np.load(path, allow_pickle=False) as given:
        names = [name for name in given.files if name.startswith(INPUTS)]
        return {name.removeprefix(INPUTS): given[name] for name in names}


if __name__ == "__main__":
    sys.exit(main())
