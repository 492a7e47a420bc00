"""Images for MCUboot; runs on both Pythons."""

import io

from modelwave_shared import fit, mcuboot
from modelwave_shared.mcuboot import ImageError
from tests.core.mcuboot_images import IMGTOOL, PAYLOAD, PROTECTED, area, image, tlv


def read(data):
    return mcuboot.read(io.BytesIO(data))


def refused(data):
    try:
        read(data)
    except ImageError as error:
        return str(error)
    raise AssertionError("was read")


def test_an_image_of_mcuboots_own_tool_is_read():
    found = read(IMGTOOL)
    assert (found.version, found.is_signed, found.is_bootable) == ("1.2.3+4", True, True)
    assert (found.header_bytes, found.payload_bytes) == (32, len(PAYLOAD))
    assert found.hash_hex.startswith("ab580da467e27b98")
    assert not found.is_encrypted
    assert not found.is_compressed


def test_protected_tlvs_are_hashed_too():
    assert read(PROTECTED).hash_hex.startswith("309a3c62691474e2")
    changed = bytearray(PROTECTED)
    changed[32 + len(PAYLOAD) + 8] ^= 1  # the security counter
    assert "hash is wrong" in refused(bytes(changed))
    changed = bytearray(PROTECTED)
    changed[10] += 4
    assert refused(bytes(changed))


def test_an_image_without_signature_says_so():
    assert not read(image(PAYLOAD)).is_signed


def test_flags_are_read():
    assert read(image(PAYLOAD, flags=4)).is_encrypted
    assert read(image(PAYLOAD, flags=0x400)).is_compressed
    assert not read(image(PAYLOAD, flags=0x10)).is_bootable


def test_each_changed_or_missing_byte_is_refused():
    good = image(PAYLOAD)
    for at in range(len(good)):
        refused(good[:at])
        changed = bytearray(good)
        changed[at] ^= 0xFF
        refused(bytes(changed))


def test_a_padded_image_is_refused_as_it_may_be_confirmed_already():
    assert "not padded" in refused(IMGTOOL + b"\xff" * 16)


def test_what_a_header_may_not_say_is_refused():
    assert "magic" in refused(bytes(64))
    assert "header size 31" in refused(image(PAYLOAD)[:8] + b"\x1f\0" + image(PAYLOAD)[10:])
    assert "cut off" in refused(image(PAYLOAD)[:12] + b"\xff\xff\xff\xff" + image(PAYLOAD)[16:])


def test_tlvs_are_bounded():
    digest = read(image(PAYLOAD)).hash
    assert "twice" in refused(image(PAYLOAD, tlvs=tlv(0x10, digest) * 2))
    assert "or is none" in refused(image(PAYLOAD, tlvs=tlv(0x10, digest[:31])))
    assert "no SHA-256" in refused(image(PAYLOAD, tlvs=tlv(0x22, b"sig")))
    assert "more than 64" in refused(image(PAYLOAD, tlvs=tlv(0x40, b"") * 65))
    body = image(PAYLOAD)[: 32 + len(PAYLOAD)]
    assert "no TLVs" in refused(body + area(b"", 0x6908))
    assert "no TLVs" in refused(body + b"\x07\x69\x03\x00")
    assert "cut off" in refused(body + b"\x07\x69\xff\xff" + tlv(0x40, b"") * 3)


def test_only_a_board_with_the_boot_loader_takes_an_image():
    has = {"flash": 9, "ram": 9, "accelerator": "", "kernels": None, "runtime_version": ""}
    needs = {"flash": 1, "ram": 1, "accelerator": "", "kernels": [], "runtime": mcuboot.MCUBOOT}
    assert fit.shortfalls(needs, dict(has, runtime="mcuboot")) == []
    assert fit.shortfalls(needs, dict(has, runtime="tflite")) == [
        "runtime: needs mcuboot, has tflite"
    ]
    needs["runtime"] = "tflite"
    assert fit.shortfalls(needs, dict(has, runtime="mcuboot")) != []
