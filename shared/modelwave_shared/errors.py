"""The errors for invalid bytes from outside. All are ValueErrors. They have a module of their
own, as the modules that raise them are removed from memory after use (lean.py)."""

from modelwave_shared.words import READS


class EnvelopeError(ValueError):
    """The envelope is malformed or has not enough valid signatures; the message names the part."""


class JsonError(ValueError):
    """The text is not the JSON of documents (strict_json.py); the message says what and where."""


class DocumentError(ValueError):
    """A field is invalid; the message starts with the field's path."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__("%s: %s" % (where, problem))
        self.problem = problem


class LineError(ValueError):
    """A message on the wire between board and gateway is invalid; the message names the field."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__("%s: %s" % (where, problem))


class NewerFormatError(DocumentError):
    """Only a newer program can read this: it has a higher format version or an unknown field."""

    def __init__(self, where: str, problem: str) -> None:
        kind = where.split(".")[0]
        if kind in READS:
            problem = "%s; %s v %d is read here" % (problem, kind, READS[kind])
        DocumentError.__init__(self, where, problem)


def advised(error: Exception, program: str) -> str:
    """Returns the error's message; if an update helps, also that `program` ("agent",
    "controller") must be updated."""
    if isinstance(error, NewerFormatError):
        return "%s; update the %s" % (error, program)
    return str(error)
