"""Makes images for MCUboot, also wrong ones; runs on both Pythons. IMGTOOL and PROTECTED are by
MCUboot's own imgtool 2.5.0: signed (ECDSA P-256), version 1.2.3+4; the second one has a protected
TLV, a security counter."""

import binascii
import hashlib
import struct

PAYLOAD = bytes(range(64)) * 2
_HEADER = "3db8f39600000000200000008000000000000000010203000400000000000000"  # 32 bytes
_SIGNED_BY = "0100200010a733c92953850ba533b847b498ce45305c7d8a545904179cd5c7a44af19283"
IMGTOOL = (
    binascii.unhexlify(_HEADER)
    + PAYLOAD
    + binascii.unhexlify(
        "0769960010002000ab580da467e27b98d2c45170b9b778f356d716893d82344272fa19b81fe8acf0"
        + _SIGNED_BY
        + "220046003044022074fa3f24f820b2c7252a87f2ffb09f47630a99338ab78e7bd92213388d96dfb2"
        "02207154233972f85dca35f23ebdf6cd552924f9153b6be80c96ed92da6897e1d65b"
    )
)
PROTECTED = (
    binascii.unhexlify(_HEADER.replace("20000000800", "20000c00800"))
    + PAYLOAD
    + binascii.unhexlify(
        "08690c005000040007000000"
        "0769970010002000309a3c62691474e23c7d7cb69e2d8d7249b34c98aba54d54f2c87e96afe90092"
        + _SIGNED_BY
        + "220047003045022100dbfaa7e758bf1ca58e557a9fea140ac79a2efc386f4b3c23dbe50fb4ff0e49ad"
        "0220260faee8d99b61719df54987c183c7decf1694456ef4b4759dc737c50363bc49"
    )
)


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value


def area(tlvs: bytes, magic: int = 0x6907) -> bytes:
    return struct.pack("<HH", magic, 4 + len(tlvs)) + tlvs


def image(
    payload: bytes,
    version: "tuple[int, int, int, int]" = (1, 0, 0, 0),
    header_bytes: int = 32,
    flags: int = 0,
    tlvs: "bytes | None" = None,
) -> bytes:
    """`tlvs`: those after the payload; None: the hash, as MCUboot without a key takes it."""
    header = struct.pack(
        "<IIHHIIBBHI", 0x96F3B83D, 0, header_bytes, 0, len(payload), flags, *version
    )
    hashed = header + bytes(header_bytes - len(header)) + payload
    if tlvs is None:
        tlvs = tlv(0x10, hashlib.sha256(hashed).digest())
    return hashed + area(tlvs)
