"""The name that people give a release, such as v2."""

from modelwave_controller.errors import OperatorError
from modelwave_controller.trust import field_types
from modelwave_shared import fields


def require(version: str) -> None:
    """Raises OperatorError unless `version` is a text on one line and not a bare number, which
    would be mistaken for a release number."""
    field_types.require(fields.text, version, "VERSION")
    if not version.strip() or version.isdecimal():
        raise OperatorError(
            f"VERSION: {version!r}; give a text such as v2 or 2.0, not empty and not a bare number"
        )
