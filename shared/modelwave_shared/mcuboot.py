"""Reads images for the MCUboot boot loader, of any origin: bounded, and checked as far as that
needs no key. The format is the one of MCUboot's docs/design.md ("Image format"; also the file
boot/bootutil/include/bootutil/image.h), little-endian:

    header           magic, load address, header size, size of the protected TLVs, payload size,
                     flags, version; padded to the header size
    payload          the program, or for a data image the data
    protected TLVs   if the header gives them a size
    TLVs             each type, length, value: the hash, mostly a signature

The hash is the SHA-256 of all before the unprotected TLVs. It is the name under which the boot
loader and SMP know the image; the file's own sha256 is another one.
"""

import binascii
import hashlib
import struct

from modelwave_shared.words import MCUBOOT_IMAGE, MODEL_PARTITION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

FORMATS = (MCUBOOT_IMAGE, MODEL_PARTITION)
MCUBOOT = "mcuboot"  # in `needs.runtime`, and in the reports of such boards

MAGIC = 0x96F3B83D
HEADER_BYTES = 32
MAX_IMAGE_BYTES = 1 << 26
_HEADER = "<IIHHIIBBHI"
_PROTECTED, _UNPROTECTED = 0x6908, 0x6907  # begin an area of TLVs
_SHA256 = 0x10
_SIGNATURES = (0x20, 0x21, 0x22, 0x23, 0x24, 0x25)
_ENCRYPTED, _NON_BOOTABLE, _COMPRESSED = 0x04 | 0x08, 0x10, 0x200 | 0x400
_MAX_TLVS = 64
_PIECE_BYTES = 1024


class ImageError(Exception):
    """The file is no whole MCUboot image; the message says why."""


class Image:
    """What an image says of itself. The payload is at `header_bytes`, `payload_bytes` long."""

    def __init__(self, header: bytes) -> None:
        if len(header) < HEADER_BYTES:
            raise ImageError("%d bytes, a header has %d" % (len(header), HEADER_BYTES))
        fields = struct.unpack(_HEADER, header[: struct.calcsize(_HEADER)])
        magic, _, self.header_bytes, self.protected_bytes, self.payload_bytes, flags = fields[:6]
        if magic != MAGIC:
            raise ImageError("it does not begin with MCUboot's magic number")
        if self.header_bytes < HEADER_BYTES:
            raise ImageError("header size %d, the least is %d" % (self.header_bytes, HEADER_BYTES))
        self.version = "%d.%d.%d+%d" % tuple(fields[6:])
        self.is_encrypted = bool(flags & _ENCRYPTED)
        self.is_compressed = bool(flags & _COMPRESSED)
        self.is_bootable = not flags & _NON_BOOTABLE
        self.is_signed = False
        self.hash = b""
        self.hashed_bytes = self.header_bytes + self.payload_bytes + self.protected_bytes

    @property
    def hash_hex(self) -> str:
        return binascii.hexlify(self.hash).decode()


def read(file: "BinaryIO") -> Image:
    """Reads the image in a file, which has to be all of the file, and checks its hash. Raises
    ImageError, and OSError."""
    size = file.seek(0, 2)
    file.seek(0)
    image = Image(file.read(HEADER_BYTES))
    if size > MAX_IMAGE_BYTES:
        raise ImageError("%d bytes, allowed are %d" % (size, MAX_IMAGE_BYTES))
    if image.hashed_bytes > size:
        told = "cut off: %d bytes, its header says at least %d"
        raise ImageError(told % (size, image.hashed_bytes))
    digest = _digest(file, image.hashed_bytes)
    if image.protected_bytes:
        file.seek(image.header_bytes + image.payload_bytes)
        if _tlvs(file, image, _PROTECTED) != image.protected_bytes:
            raise ImageError("its protected TLVs are not as long as its header says")
    file.seek(image.hashed_bytes)
    end = image.hashed_bytes + _tlvs(file, image, _UNPROTECTED)
    if not image.hash:
        raise ImageError("it has no SHA-256")
    if image.hash != digest:
        raise ImageError("its hash is wrong: it is damaged")
    if end != size:
        # A padded image may carry the boot loader's mark that it is confirmed: no trial.
        told = (
            "%d bytes after its end: give the image that is not padded, such as zephyr.signed.bin"
        )
        raise ImageError(told % (size - end))
    return image


def _digest(file: "BinaryIO", length: int) -> bytes:
    digest = hashlib.sha256()
    file.seek(0)
    while length:
        piece = file.read(min(length, _PIECE_BYTES))
        if not piece:
            raise ImageError("cut off")
        digest.update(piece)
        length -= len(piece)
    found: bytes = digest.digest()
    return found


def _tlvs(file: "BinaryIO", image: Image, magic: int) -> int:
    """Reads an area of TLVs at the file's place into `image`; returns its length."""
    found, total = _pair(file)
    if found != magic or total < 4:
        raise ImageError("no TLVs of kind 0x%x where its header says" % magic)
    left: int = total - 4
    for _ in range(_MAX_TLVS):
        if not left:
            return total
        kind, length = _pair(file)
        left -= 4 + length
        value = file.read(length) if left >= 0 else b""
        if left < 0 or len(value) != length:
            raise ImageError("its TLVs are cut off")
        _take(image, kind, value)
    raise ImageError("more than %d TLVs" % _MAX_TLVS)


def _take(image: Image, kind: int, value: bytes) -> None:
    if kind == _SHA256:
        if image.hash or len(value) != 32:
            raise ImageError("its SHA-256 is there twice, or is none")
        image.hash = value
    elif kind in _SIGNATURES:
        image.is_signed = True


def _pair(file: "BinaryIO") -> "tuple[int, int]":
    data = file.read(4)
    if len(data) != 4:
        raise ImageError("its TLVs are cut off")
    first, second = struct.unpack("<HH", data)
    return first, second
