"""What is answered in place of an answer: a problem as in RFC 9457, and the error that it is."""

from typing import Annotated

from pydantic import BaseModel, Field

from modelwave_controller import errors
from modelwave_controller.errors import ModelwaveError

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:modelwave:problem:"

# The status of an answer, by the class of the error; the first that fits.
STATUSES: dict[type[ModelwaveError], int] = {
    errors.UnknownPersonError: 401,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.MalformedError: 400,
    errors.MethodError: 405,
    errors.TooLargeError: 413,
    errors.ContentTypeError: 415,
    errors.NoDeviceError: 409,
    errors.ConflictError: 409,
    errors.BusyError: 429,
    errors.OperatorError: 422,
    errors.TrustError: 422,
    errors.NotTakenError: 422,
    errors.StorageError: 503,
    errors.KeyAwayError: 503,
    ModelwaveError: 500,
}
TITLES = {
    400: "Not understood",
    401: "Who asks is not known",
    403: "Not allowed",
    404: "Not found",
    405: "No such method",
    409: "Not as things stand",
    413: "Too large",
    415: "Of another type",
    422: "Not accepted",
    429: "Too many requests",
    500: "The service failed",
    503: "Not now",
}


class Problem(BaseModel):
    """`type` names the class of the error, `detail` says what is wrong and what to do: the line
    that the command prints."""

    type: Annotated[str, Field(pattern=f"^{_TYPE}[A-Za-z]+$")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str


def problem_of(error: ModelwaveError) -> Problem:
    status = next(s for kind, s in STATUSES.items() if isinstance(error, kind))
    kind = type(error).__name__
    return Problem(type=_TYPE + kind, title=TITLES[status], status=status, detail=str(error))


def error_of(problem: Problem) -> ModelwaveError:
    """Returns the error that the other side had."""
    kind = getattr(errors, problem.type.removeprefix(_TYPE), ModelwaveError)
    if not (isinstance(kind, type) and issubclass(kind, ModelwaveError)):
        kind = ModelwaveError
    found = kind.__new__(kind)  # its message is whole already
    found.args = (problem.detail,)
    return found
