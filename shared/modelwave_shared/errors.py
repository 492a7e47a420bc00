"""What is wrong with bytes from outside. All are ValueErrors; they stand apart from the code
that raises them, as that comes and goes (lean.py)."""


class EnvelopeError(ValueError):
    """Not an envelope, or not enough good signatures; the message names the part."""


class JsonError(ValueError):
    """Not JSON as documents are written; the message says what and at which byte."""


class DocumentError(ValueError):
    """A field is not as agreed; the message starts with the field's path."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__("%s: %s" % (where, problem))
        self.problem = problem
