"""The calls about models that are no release yet."""

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from modelwave_controller.api.call import POST, Asked, Call, Sent
from modelwave_controller.api.words import NameOfFile
from modelwave_controller.people.roles import OPERATE
from modelwave_shared.limits import MAX_NAME

MAX_MODEL_BYTES = 1 << 28
MAX_TARGETS = 64
_NAME = "[a-z0-9][a-z0-9_-]{0,62}"


class Fit(Asked):
    """`targets`: their names, with commas between them; "": all. `name`: what errors call the
    model."""

    targets: Annotated[
        str,
        Field(
            max_length=MAX_TARGETS * (MAX_NAME + 1),
            pattern=f"^({_NAME}(,{_NAME}){{0,{MAX_TARGETS - 1}}})?$",
        ),
    ] = ""
    name: NameOfFile = ""


_call = partial(Call, "fits")

FIT: Call[Fit, list[dict[str, Any]]] = _call(
    "fitModel",
    POST,
    "/fits",
    Fit,
    list[dict[str, Any]],
    OPERATE,
    "What a model needs on each target, and whether it fits; nothing of it is kept.",
    seconds=120.0,
    sends=Sent("A .tflite file, or .onnx.", MAX_MODEL_BYTES),
)
CALLS = (FIT,)
