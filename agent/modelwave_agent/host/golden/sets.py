"""A golden set of either form, as records of named arrays."""

from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy

from modelwave_agent.host.golden import binary, judges
from modelwave_agent.host.golden.archive import (
    CLASSES,
    EXPECTED,
    INPUTS,
    Archive,
    Array,
    is_archive,
)
from modelwave_agent.host.golden.judges import OutputJudge
from modelwave_agent.host.runtimes.port import HostRuntime
from modelwave_agent.host.runtimes.specs import OPEN, TensorSpec
from modelwave_shared.golden import LABELS, GoldenError, Header
from modelwave_shared.words import TENSORS

_KINDS = {"l": "labels", "o": "outputs"}  # {a header's kind: that of its tolerance}


class GoldenSet:
    """An open golden set. `header` is that of the binary form, `archive` is the other form. The
    binary form has no names: `bind` gives it those of the model."""

    def __init__(self, path: str) -> None:
        """Raises GoldenError and OSError."""
        self.path = path
        self.archive: Archive | None = None
        self.header: Header | None = None
        self._names = ("", "")
        self._shape: tuple[int, ...] = (-1,)  # of the input in the binary form
        if is_archive(path):
            self.archive = Archive(path)
        else:
            self.header = binary.read_header(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        if self.archive:
            self.archive.close()

    @property
    def records(self) -> int:
        return self.archive.records if self.archive else self._header.count

    @property
    def _header(self) -> Header:
        assert self.header
        return self.header

    def bind(self, runtime: HostRuntime) -> None:
        """Compares the set with the loaded model. Raises GoldenError, which names the array."""
        if self.header:
            binary.require_fit(self.header, runtime.inputs, runtime.outputs)
            given, output = runtime.inputs[0], runtime.outputs[0]
            self._names = (given.name, output.name)
            if OPEN not in given.shape:
                self._shape = given.shape
        else:
            for spec in runtime.inputs:
                self._require(INPUTS + spec.name, "the model has this input")
            self._refuse_unknown(runtime)
            for spec in runtime.outputs:
                self._compare(spec)

    def _refuse_unknown(self, runtime: HostRuntime) -> None:
        outputs = [spec.name for spec in runtime.outputs]
        known = {
            INPUTS: [spec.name for spec in runtime.inputs],
            EXPECTED: outputs,
            CLASSES: outputs,
        }
        for name in self._arrays:
            folder, _, rest = name.partition("/")
            if rest not in known.get(f"{folder}/", ()):
                raise GoldenError(
                    f"golden: {name!r:.100}: the model has no such tensor; its inputs are "
                    f"{_listed(known[INPUTS])}, its outputs {_listed(outputs)}"
                )

    def _compare(self, spec: TensorSpec) -> None:
        """Compares the expected output with the model's, before anything is run."""
        found = self._arrays.get(EXPECTED + spec.name)
        if found is None:
            return
        is_text = spec.dtype[1] == "S" and found.dtype.kind in judges.TEXTS
        if found.dtype != spec.dtype and not is_text:
            raise GoldenError(
                f"golden: {found.name} has {found.dtype.name}, and the model's output "
                f"{numpy.dtype(spec.dtype).name}; make the set from this model (modelwave golden "
                "make)"
            )
        if OPEN not in spec.shape and judges.trimmed(found.shape) != judges.trimmed(spec.shape):
            raise GoldenError(
                f"golden: {found.name} has records of the shape {list(found.shape)}, and the "
                f"model's output {list(spec.shape)}; make the set from this model (modelwave "
                "golden make)"
            )

    @property
    def _arrays(self) -> Mapping[str, Any]:
        return self.archive.arrays if self.archive else {}

    def _require(self, array: str, why: str) -> None:
        if array not in self._arrays:
            raise GoldenError(f"golden: {array} is missing: {why}; make the set anew")

    def judges(self, tolerance: Mapping[str, Any], configuration: str) -> list[OutputJudge]:
        """Returns a judge for each output that the tolerance names. Raises GoldenError if it does
        not match the set."""
        rules = self.rules(tolerance)
        made = [judges.make(output, rule, configuration) for output, rule in rules.items()]
        if self.archive:
            for judge in made:
                for array in judge.expected:
                    self._require(array, f"tolerance.outputs.{judge.output} judges by it")
        return made

    def rules(self, tolerance: Mapping[str, Any]) -> dict[str, Any]:
        """Returns {output: rule} of the tolerance. Raises GoldenError if it is not for a set of
        this form."""
        kind = TENSORS if self.archive else _KINDS[self._header.kind]
        if tolerance["kind"] != kind:
            raise GoldenError(
                f"tolerance.kind is {tolerance['kind']}, and the golden set needs {kind}"
            )
        return binary.rules(tolerance, self._names[1])

    def rows(self) -> Iterator[dict[str, Array]]:
        """Yields for each record {name such as "inputs/image": array}. Raises GoldenError and
        OSError."""
        if self.archive:
            return self.archive.rows()
        return binary.rows(self.path, self._header, self._shape, *self._names)

    @property
    def is_labelled(self) -> bool:
        if self.header:
            return self.header.kind == LABELS
        return any(name.startswith(CLASSES) for name in self._arrays)


def inputs_of(row: Mapping[str, Array], specs: tuple[TensorSpec, ...]) -> dict[str, Array]:
    """Returns the inputs of a record for `HostRuntime.run`."""
    given = {}
    for spec in specs:
        array = row[INPUTS + spec.name]
        if array.dtype.kind in judges.TEXTS:
            array = judges.texts(array)
        given[spec.name] = array
    return given


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
