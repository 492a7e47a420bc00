"""Makes the body of a call that sends a file."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from modelwave_controller import disk
from modelwave_controller.api.call import Sent
from modelwave_controller.errors import TooLargeError
from modelwave_controller.releases import bundle_tar


class Parcel(Protocol):
    """A body, which can be sent again."""

    @property
    def size(self) -> int: ...

    def chunks(self) -> Iterator[bytes]: ...


class _File(NamedTuple):
    path: Path
    size: int

    def chunks(self) -> Iterator[bytes]:
        return disk.pieces(self.path, "FILE", self.size, "try again")


def parcel_of(path: Path, sends: Sent) -> Parcel:
    """Raises OperatorError for what cannot be sent."""
    if sends.bundle and bundle_tar.is_in_parts(path):
        parcel: Parcel = bundle_tar.packed(path)
    else:
        with disk.open_plain(path, "FILE"):
            parcel = _File(path, path.stat().st_size)
    if parcel.size > sends.most:
        raise TooLargeError(
            f"{path}: it has {parcel.size:,} bytes, at most {sends.most:,} are taken"
        )
    return parcel
