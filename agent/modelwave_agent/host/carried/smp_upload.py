"""Uploads an image by SMP into the spare slot. The server names the next offset in each answer: it
goes on where a broken upload of the same file stopped, and after a repeated piece."""

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

from smpclient.requests.image_management import ImageUploadWrite

from modelwave_agent.host.carried.port import CarrierError, Progress
from modelwave_agent.host.carried.smp_session import Refused, Session

# Errors of group 1 that are about the file (smp.image_management.IMG_MGMT_ERR).
IMAGE_GROUP = 1
_OF_THE_FILE = {
    22: "it is shorter than an image's header",
    23: "it does not begin with MCUboot's magic number",
    25: "it was linked for another address",
    27: "its version is not above the one that runs, as its firmware asks for",
    30: "it is too large for the slot",
}
_MAX_STILL = 16  # answers that bring the upload no further


async def upload(
    session: Session,
    path: str,
    image: int,
    progress: Progress,
    is_there: Callable[[], Awaitable[bool]],
) -> str:
    """Uploads the file `path`. `is_there` asks whether the slot has it, for an upload whose end the
    board has forgotten. Returns "", or why the board refuses the file. Raises CarrierError,
    OSError."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        size = file.seek(0, 2)
        have, most, still = 0, 0, 0
        while have < size:
            file.seek(have)
            piece = partial(ImageUploadWrite, off=have, data=b"")
            if not have:
                piece = partial(piece, len=size, sha=digest, image=image or None)
            data = file.read(session.room(piece()))
            seconds = session.patience.answer if have else session.patience.erase
            try:
                answer = await session.ask(partial(piece, data=data), seconds)
            except Refused as refused:
                problem = _of_the_file(refused)
                if problem:
                    return problem
                if not have or still >= _MAX_STILL:
                    raise
                have, still = 0, still + 1  # the board has forgotten the upload: a reset
                continue
            if answer.off is None or not 0 <= answer.off <= size:
                raise CarrierError(f"SMP: the upload is at {answer.off} of {size} bytes")
            if answer.match is False:
                raise CarrierError("SMP: the board has other bytes than were sent")
            if answer.off < have and await is_there():
                return ""
            have = answer.off
            still = 0 if have > most else still + 1
            most = max(have, most)
            if still > _MAX_STILL:
                raise CarrierError(f"SMP: the upload does not get beyond {most} of {size} bytes")
            progress(have, size)
    return ""


def _of_the_file(refused: Refused) -> str:
    if refused.group != IMAGE_GROUP or refused.code not in _OF_THE_FILE:
        return ""
    return f"the board refuses the image: {_OF_THE_FILE[refused.code]}"
