"""The errors of an analysis.

    ModelError  the bytes are not a .tflite file that can be read
    Refused     TFLM would not run the model on this profile; the text is the reason
    Unknown     the model uses something that was never measured, and nothing is guessed

Only ModelError leaves `fit`; the other two become fields of `Fit`."""

from modelwave_controller.errors import OperatorError

AGAIN = "get the file again, or export it anew"  # what helps with a file that is cut off


class ModelError(OperatorError):
    """The file is not a model, is cut off, has offsets outside itself or exceeds our limits."""


class ModelRefused(Exception):
    """TFLM refuses this; the text is the reason."""


class Unknown(Exception):
    """This was never measured; the text names it."""
