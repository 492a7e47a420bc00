"""What is wrong with bytes from outside. All are ValueErrors; they stand apart from the code
that raises them, as that comes and goes (lean.py)."""

from modelwave_shared.words import READS


class EnvelopeError(ValueError):
    """Not an envelope, or not enough good signatures; the message names the part."""


class JsonError(ValueError):
    """Not JSON as documents are written; the message says what and at which byte."""


class DocumentError(ValueError):
    """A field is not as agreed; the message starts with the field's path."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__("%s: %s" % (where, problem))
        self.problem = problem


class NewerFormatError(DocumentError):
    """Only a newer program can read this: a higher format version, or an unknown field."""

    def __init__(self, where: str, problem: str) -> None:
        kind = where.split(".")[0]
        if kind in READS:
            problem = "%s; %s v %d is read here" % (problem, kind, READS[kind])
        DocumentError.__init__(self, where, problem)


def advised(error: Exception, program: str) -> str:
    """The error's message, and which program ("agent", "controller") to update if that helps."""
    if isinstance(error, NewerFormatError):
        return "%s; update the %s" % (error, program)
    return str(error)
