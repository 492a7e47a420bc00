"""What can stand between a file and a figure.

    ModelError  the bytes are not a .tflite file that can be read
    Refused     TFLM would not run it on this profile, and says why
    Unknown     it uses what was never measured: no figure is better than a guess

Only ModelError leaves `fit`; the other two end up as fields of `Fit`."""

from modelwave_controller.errors import OperatorError


class ModelError(OperatorError):
    """The file is no model, is cut off, points outside itself or is beyond our limits."""


class Refused(Exception):
    """TFLM does not take this; the text is the reason."""


class Unknown(Exception):
    """Nobody measured this; the text names it."""
