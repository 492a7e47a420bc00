"""Loads and runs one model with its runtime alone: the judge of what modelwave says of it.

    PYTHON bare.py MODEL ANSWERS.npz [--inputs INPUTS.npz] [--shapes JSON] [--values JSON]
    PYTHON bare.py MODEL --inputs INPUTS.npz --warm SMALLEST [--threads N] [--shapes JSON]

It imports nothing of modelwave, so any Python with a runtime can run it. Without --inputs it draws
them (seeded). ANSWERS.npz holds `inputs/NAME` and `outputs/NAME`, one record after the other. The
last line of its output is JSON: the runtime, and whether the model loads and runs, with and
without the runtime's default delegates.

Without ANSWERS it measures RAM: the process has run another model of the format, the smallest one,
then loads this one and runs RAM_RUNS records; `ram` is its peak less what it had before."""

import argparse
import ctypes
import gc
import importlib.util
import itertools
import json
import re
import resource
import sys
import zlib
from importlib import metadata

import numpy as np

RECORDS = 16
VOICE_FRAMES = 90
RAM_RUNS = 5
MEMORY_BYTES = 8 << 30
LITERT = ("tflite_runtime", "ai_edge_litert")
LARGEST_INTEGER = 127
INPUTS, OUTPUTS = "inputs/", "outputs/"  # of names in an .npz


class LiteRT:
    """`delegates`: with those that the runtime takes by default (XNNPACK). `threads`: 0 for what it
    takes by itself."""

    def __init__(self, path, shapes, delegates, threads=0):
        package, module = first_runtime()
        self.runtime = package.replace("_", "-")
        self.version = metadata.version(self.runtime)
        kinds = module.OpResolverType
        kind = kinds.AUTO if delegates else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        made = module.Interpreter(
            model_path=path, experimental_op_resolver_type=kind, num_threads=threads or None
        )
        self._interpreter = made
        self.inputs, self.outputs = self._named()
        for name, shape in shapes.items():
            made.resize_tensor_input(self.inputs[name]["index"], shape)
        made.allocate_tensors()
        self.inputs, self.outputs = self._named()

    def _named(self):
        """Returns the tensors in the file's order."""
        made = self._interpreter
        names = signature_names(made)
        details = {"input": made.get_input_details(), "output": made.get_output_details()}
        return tuple(
            dict(
                zip(
                    named([names.get(d["index"], d["name"]) for d in kind], what), kind, strict=True
                )
            )
            for what, kind in details.items()
        )

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


def signature_names(interpreter):
    """Returns {tensor: name} of the model's signature, if it has exactly one."""
    signatures = list(interpreter.get_signature_list())
    if len(signatures) != 1:
        return {}
    runner = interpreter.get_signature_runner(signatures[0])
    kinds = runner.get_input_details(), runner.get_output_details()
    return {one["index"]: name for kind in kinds for name, one in kind.items()}


def named(names, what):
    """Returns the names, or "output_0" and so on, if one of them has a space or is there twice:
    modelwave says so too (docs/golden.md)."""
    if len(set(names)) == len(names) and all(re.fullmatch("[!-~]+", name) for name in names):
        return names
    return [f"{what}_{place}" for place in range(len(names))]


ONNX_TYPES = {"float": "float32", "double": "float64", "string": "object"}  # others: numpy's


class Onnx:
    def __init__(self, path, shapes, delegates, threads=0):
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)
        self.runtime, self.version = "onnxruntime", onnxruntime.__version__
        self._shapes = shapes
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )

    def specs(self):
        found = {}
        for one in self._session.get_inputs():
            kind = one.type.removeprefix("tensor(").removesuffix(")")
            shape = self._shapes.get(one.name, [n if isinstance(n, int) else 1 for n in one.shape])
            found[one.name] = np.dtype(ONNX_TYPES.get(kind, kind)), shape, 0
        return found

    def run(self, given):
        names = named([one.name for one in self._session.get_outputs()], "output")
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


def drawn(name, specs, values, limits=None):
    """Returns RECORDS inputs, the same for all runtimes. `values`: of inputs that are settings;
    `limits`: the least and the greatest number of the others."""
    seeded = np.random.default_rng(zlib.crc32(name.encode()))
    return {
        key: one_input(
            seeded, kind, (RECORDS, *shape), values.get(key), limits or usual(kind, scale)
        )
        for key, (kind, shape, scale) in specs.items()
    }


def usual(kind, scale):
    if kind.kind == "f":
        return 0, 1
    if scale:  # quantised: all of its range
        return np.iinfo(kind).min, np.iinfo(kind).max
    return 0, 1 if kind.kind == "b" else LARGEST_INTEGER


def one_input(seeded, kind, shape, value, limits):
    if value is not None:
        return np.full(shape, value, kind)
    low, high = limits
    made = low + np.stack([texture(seeded, n, shape[1:]) for n in range(shape[0])]) * (high - low)
    return made.astype(kind) if kind.kind == "f" else made.round().astype(kind)


def voice(seed, specs):
    """Returns inputs for a model that hears spectra frame by frame: three formants that last and
    move as in speech. The seed is one with which the model answers: noise never wakes it."""
    ((name, (kind, shape, _)),) = specs.items()
    seeded = np.random.default_rng(seed)
    bands = np.arange(shape[-1]) / shape[-1]
    frames = np.empty((VOICE_FRAMES, shape[-1]))
    n = 0
    while n < VOICE_FRAMES:
        length = seeded.integers(2, 12)
        places, widths, heights = seeded.random(3), 0.03 + 0.2 * seeded.random(3), seeded.random(3)
        formants = zip(places, widths, heights, strict=True)
        spectrum = sum(h * np.exp(-(((bands - c) / w) ** 2)) for c, w, h in formants)
        frames[n : n + length] = spectrum * seeded.random()
        n += length
    heard = np.clip(frames * 1.2 + 0.1 * seeded.random(frames.shape), 0, 1)
    return {name: (-128 + heard * 255).astype(kind).reshape(-1, *shape)}


def texture(seeded, n, shape):
    """Returns numbers from 0 to 1. Records that differ in more than noise make outputs that
    differ, too."""
    noise = seeded.random(shape)
    place = np.arange(noise.size).reshape(shape) / max(noise.size, 1)
    wave = 0.5 + 0.5 * np.sin(place * 2 * np.pi * 7 * (n + 1))
    held = np.broadcast_to(seeded.random(shape[-1:]), shape)
    kinds = noise, wave, held, wave * noise, noise**4, 1 - noise**4, place, held * noise
    return kinds[n % len(kinds)]


def opened(path, shapes, delegates, threads=0):
    return (Onnx if path.endswith(".onnx") else LiteRT)(path, shapes, delegates, threads)


def tried(path, shapes, delegates):
    """Returns (model, "") or (None, why it does not load)."""
    try:
        return opened(path, shapes, delegates), ""
    except Exception as error:  # each runtime has errors of its own
        return None, one_line(error)


def records(inputs):
    """Yields the inputs of each record."""
    for n in range(len(next(iter(inputs.values())))):
        yield {name: np.asarray(array[n]) for name, array in inputs.items()}


def answers(model, inputs):
    # A model with resource variables answers by what it saw before: the records go in in order.
    found = [model.run(record) for record in records(inputs)]
    return {name: np.stack([np.asarray(one[name]) for one in found]) for name in found[0]}


def one_line(error):
    """Without the advice that TFLite adds for authors of operators."""
    text = " ".join(str(error).split())
    return re.sub(r" See instructions: \S+.*", "", text)[:200]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("answers", nargs="?", default="")
    parser.add_argument("--name", default="")
    parser.add_argument("--inputs", default="")
    parser.add_argument("--shapes", type=json.loads, default={})
    parser.add_argument("--warm", default="", help="a small model, run before the RAM is measured")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--values", type=json.loads, default={})
    parser.add_argument("--limits", type=json.loads, default=None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--voice", action="store_true")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    print(json.dumps(judged(options) if options.answers else {"ram": taken(options)}))


def taken(options):
    """Returns the bytes of RAM that this process takes more for the model, at its peak."""
    given = list(itertools.islice(records(read(options.inputs)), RAM_RUNS))
    warm = opened(options.warm, {}, False, options.threads)
    warm.run(next(records(drawn("warm", warm.specs(), {}))))
    del warm
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # so that the model takes nothing that was counted before
    before = resident()
    forget_peak()
    model = opened(options.model, options.shapes, False, options.threads)
    for record in given:
        model.run(record)
    return max(bytes_in("/proc/self/status", "VmHWM:"), resident()) - before


def forget_peak():
    """Begins a new peak (proc(5), clear_refs)."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def resident():
    """Returns the bytes that this process has in RAM, counted page by page."""
    return bytes_in("/proc/self/smaps_rollup", "Rss:")


def bytes_in(path, name):
    with open(path) as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def judged(options):
    """Writes the answers, and returns what is to be said of the model."""
    model, error = tried(options.model, options.shapes, delegates=False)
    said = {"loads": model is not None, "loads_with_delegates": model is not None, "error": error}
    if model is None and not options.model.endswith(".onnx"):
        model, _ = tried(options.model, options.shapes, delegates=True)
        said["loads_with_delegates"] = model is not None
    if model is None:
        return said
    try:
        inputs = read(options.inputs) or made(model.specs(), options)
        outputs = answers(model, inputs)
    except Exception as problem:
        error = f"it does not run: {one_line(problem)}"
        return {"loads": False, "loads_with_delegates": False, "error": error}
    arrays = {f"{INPUTS}{name}": array for name, array in inputs.items()}
    arrays |= {f"{OUTPUTS}{name}": array for name, array in outputs.items()}
    np.savez_compressed(options.answers, **arrays)
    return said | {"runtime": f"{model.runtime} {model.version}"}


def made(specs, options):
    if options.voice:
        return voice(options.seed, specs)
    name = f"{options.name} {options.seed}" if options.seed else options.name
    return drawn(name, specs, options.values, options.limits)


def read(path):
    if not path:
        return {}
    with np.load(path, allow_pickle=False) as given:
        names = [name for name in given.files if name.startswith(INPUTS)]
        return {name.removeprefix(INPUTS): given[name] for name in names}


if __name__ == "__main__":
    sys.exit(main())
