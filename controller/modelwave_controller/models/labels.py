"""Checks the names of a model's classes, and finds them in the model's own metadata.

A file of labels is UTF-8 with one name a line, in the order of the classes. A byte-order mark and
CRLF are removed, so that programs on devices need not do it. An empty line and a control character
are errors; a name that stands there twice is only noted, since lists in wide use have some
(ImageNet's has two cranes)."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from modelwave_controller.fit import metadata, zip_list
from modelwave_controller.fit.metadata import AssociatedFile
from modelwave_controller.phrases import plural

MAX_LABELS_BYTES = 1 << 20
MAX_LABELS = 1 << 16  # a golden set has a class as 16 bits
MAX_LABEL_CHARACTERS = 200
_SHOWN = 3  # names, and duplicates

_BOM, _OTHER_BOMS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
# Control characters, surrogates and separators of lines, by Unicode's general categories; and
# what changes the direction of the text around it. Letters need other format characters.
_HARMFUL = ("Cc", "Cs", "Zl", "Zp")
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")


class LabelsError(ValueError):
    """These are no names of classes; the text names the line and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Names of classes. `data` is the file to release, `notes` say for people what was changed or
    is unusual."""

    names: tuple[str, ...]
    data: bytes
    notes: tuple[str, ...]

    def summary(self) -> str:
        """Returns how many there are, and the first: '1,001 names: "background", …'."""
        first = ", ".join(f'"{name}"' for name in self.names[:_SHOWN])
        more = ", …" if len(self.names) > _SHOWN else ""
        names = "name" if len(self.names) == 1 else "names"
        return f"{len(self.names):,} {names}: {first}{more}"


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A file of labels in a model. `owner` is what it is for, such as "output 0 probability";
    `problem` says why `labels` is None."""

    name: str
    owner: str
    locale: str
    labels: Labels | None
    problem: str = ""


def parse(data: bytes) -> Labels:
    """Reads a file of labels. Raises LabelsError."""
    if len(data) > MAX_LABELS_BYTES:
        raise LabelsError(f"longer than {MAX_LABELS_BYTES:,} bytes")
    if data.startswith(_OTHER_BOMS):
        raise LabelsError("UTF-16; save it as UTF-8")
    notes = []
    body = data.removeprefix(_BOM)
    if body != data:
        notes.append("its byte-order mark is removed")
    if b"\r\n" in body:
        notes.append("its line ends, CRLF, are made LF")
        body = body.replace(b"\r\n", b"\n")
    names = _lines(body)
    for number, name in enumerate(names, start=1):
        _check(name, number)
    return Labels(names, body, (*notes, *_duplicates(names)))


def _lines(body: bytes) -> tuple[str, ...]:
    try:
        lines = body.decode().split("\n")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise LabelsError(f"line {line} is not UTF-8; save the file as UTF-8") from error
    if lines[-1] == "":
        lines.pop()
    if not lines:
        raise LabelsError("no names")
    if len(lines) > MAX_LABELS:
        raise LabelsError(f"{len(lines):,} lines, {MAX_LABELS:,} at most")
    return tuple(lines)


def _check(name: str, number: int) -> None:
    if not name.strip():
        raise LabelsError(f"line {number} is empty; a class without a name may be called ???")
    if len(name) > MAX_LABEL_CHARACTERS:
        raise LabelsError(f"line {number} has more than {MAX_LABEL_CHARACTERS} characters")
    for letter in name:
        if unicodedata.category(letter) in _HARMFUL or _BIDI.match(letter):
            raise LabelsError(f"line {number} has the control character U+{ord(letter):04X}")


def _duplicates(names: tuple[str, ...]) -> list[str]:
    lines: dict[str, list[int]] = {}
    for number, name in enumerate(names, start=1):
        lines.setdefault(name, []).append(number)
    twice = [(name, found) for name, found in lines.items() if len(found) > 1]
    notes = [
        f'"{name}" stands on lines {found[0]} and {found[1]}'
        + (f" and {len(found) - 2} more" if len(found) > 2 else "")
        for name, found in twice[:_SHOWN]
    ]
    if len(twice) > _SHOWN:
        notes.append(f"{plural(len(twice) - _SHOWN, 'more name')} stand on several lines")
    return notes


def in_model(data: bytes) -> list[LabelFile]:
    """Returns the files of labels that are packed behind a model, each with its names or what is
    wrong with it. Raises ModelError if the model's own metadata cannot be read."""
    try:
        packed = {entry.name: entry for entry in zip_list.entries(data)}
        no_zip = ""
    except zip_list.ZipError as error:
        packed, no_zip = {}, str(error)
    found = []
    for named in _named(metadata.associated_files(data), packed):
        labels, problem = None, no_zip or "it is not in the zip behind the model"
        if entry := packed.get(named.name):
            try:
                labels, problem = parse(zip_list.read(data, entry, MAX_LABELS_BYTES)), ""
            except (zip_list.ZipError, LabelsError) as error:
                problem = str(error)
        found.append(LabelFile(named.name, named.owner, named.locale, labels, problem))
    return found


def _named(
    described: list[AssociatedFile], packed: dict[str, zip_list.Entry]
) -> Iterator[AssociatedFile]:
    """Yields each file of labels once: those that the metadata names, else those whose own name
    says it."""
    seen = set()
    for one in described:
        is_label = one.kind in (metadata.AXIS_LABELS, metadata.VALUE_LABELS)
        if is_label and not one.owner.startswith("input") and one.name not in seen:
            seen.add(one.name)
            yield one
    if not described:
        for name in packed:
            if re.search(r"label[^/]*\.txt$", name, re.IGNORECASE):
                yield AssociatedFile(name, metadata.AXIS_LABELS, "", "model")
