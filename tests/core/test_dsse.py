"""Tests the envelope: it is read only by its template, and verified over the received bytes."""

from modelwave_shared import dsse, ed25519
from modelwave_shared.errors import EnvelopeError
from modelwave_shared.limits import MAX_ENVELOPE_BYTES, MAX_SIGNATURES
from modelwave_shared.sha512 import sha512
from tests.core import signed
from tests.core.helpers import refused

KEYID = "7599776c"  # openssl dgst -sha256 of signed.ORDER_KEY
KEYS = {KEYID: signed.ORDER_KEY}
ENTRY = signed.TINY[signed.TINY.index(b'{"keyid"') : -2]
HEAD = signed.TINY[: signed.TINY.index(ENTRY)]


def unreadable(*envelopes):
    return [refused(EnvelopeError, dsse.read, data) for data in envelopes]


def verify(data, keys=KEYS, threshold=1):
    """The payload that `keys` have signed."""
    envelope = dsse.read(data)
    envelope.verify(keys, threshold)
    return envelope.payload


def unproven(data, keys=KEYS, threshold=1):
    return refused(EnvelopeError, verify, data, keys, threshold)


def replaced(old, new, data=signed.TINY):
    assert data.count(old) == 1
    return data.replace(old, new)


def test_envelope_says_what_was_signed():
    envelope = dsse.read(signed.TINY)
    assert (envelope.kind, envelope.payload) == ("order", b"{}")
    assert [(keyid, len(signature)) for keyid, signature in envelope.signatures] == [(KEYID, 64)]
    # printf '{}' | sha256sum
    assert envelope.digest() == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    envelope.verify(KEYS, 1)


def test_keyid_is_the_start_of_the_keys_sha256():
    assert dsse.keyid(signed.ORDER_KEY) == KEYID


def test_signed_bytes_are_the_pae_of_dsse():
    assert dsse.signed_bytes("order", b"{}") == (
        b"DSSEv1 36 application/vnd.modelwave.order+json 2 {}"
    )
    assert dsse.signed_bytes("root", b"\0%s").endswith(b" 3 \0%s")


def test_what_is_written_reads_back():
    for data in (signed.TINY, signed.ROOT, signed.MANIFEST):
        envelope = dsse.read(data)
        assert dsse.write(envelope.kind, envelope.payload, envelope.signatures) == data


def test_bytearray_and_memoryview_are_read_like_bytes():
    assert verify(bytearray(signed.TINY)) == verify(memoryview(signed.TINY)) == b"{}"


def test_every_flipped_byte_is_refused():
    for at, byte in enumerate(signed.TINY):
        for bit in (0x01, 0x20, 0x80):
            unproven(signed.TINY[:at] + bytes([byte ^ bit]) + signed.TINY[at + 1 :])


def test_every_removed_byte_is_refused():
    for at in range(len(signed.TINY)):
        unproven(signed.TINY[:at] + signed.TINY[at + 1 :])


def test_every_repeated_byte_is_refused():
    for at in range(len(signed.TINY)):
        unproven(signed.TINY[: at + 1] + signed.TINY[at:])


def test_every_truncation_is_refused_before_any_signature_is_looked_at():
    for cut in range(len(signed.ORDER)):
        unreadable(signed.ORDER[:cut])
    for cut in range(1, len(signed.TINY)):
        unreadable(signed.TINY[cut:])


def test_every_structural_change_of_an_empty_payload_is_refused():
    empty = replaced(b"e30=", b"")
    word = empty.index(b"order")
    for at in range(empty.index(ENTRY)):
        if not word <= at < word + len(b"order"):
            unreadable(empty[:at] + empty[at + 1 :], empty[: at + 1] + empty[at:])


def test_empty_input_is_refused():
    unreadable(b"", b" ", b"{}", b"\0")


def test_4097_bytes_are_refused():
    payload = b"x" * 4096
    padded = [signed.TINY + b" " * (MAX_ENVELOPE_BYTES + 1 - len(signed.TINY)), payload + b"y"]
    for message in unreadable(*padded):
        assert "4097 bytes" in message


def test_largest_envelope_is_read_and_one_more_payload_group_is_not():
    overhead = len(signed.TINY) - 4
    groups = (MAX_ENVELOPE_BYTES - overhead) // 4
    entries = dsse.read(signed.TINY).signatures
    largest = dsse.write("order", b"x" * (3 * groups), entries)
    assert dsse.read(largest).payload == b"x" * (3 * groups)
    refused(EnvelopeError, dsse.write, "order", b"x" * (3 * groups + 1), entries)


def test_8000_brackets_are_refused():
    unreadable(b"[" * 8000, b"[" * 4000, b'{"a":' * 3000, b'{"payload":"' * 300)


def test_nul_at_the_end_is_refused():
    unreadable(signed.TINY + b"\0", b"\0" + signed.TINY)


def test_anything_after_the_end_is_refused():
    unreadable(*[signed.TINY + end for end in (b"{}", b" ", b"\n", b"]}", b",{}", signed.TINY)])


def test_byte_order_mark_is_refused():
    unreadable(b"\xef\xbb\xbf" + signed.TINY)


def test_other_spellings_of_the_same_json_are_refused():
    unreadable(
        replaced(b'","payloadType', b'", "payloadType'),
        replaced(b'{"payload"', b'{ "payload"'),
        replaced(b"payloadType", b"payload\\u0054ype"),
        replaced(b"application/", b"application\\/"),
        b'{"payloadType":"application/vnd.modelwave.order+json","payload":"e30=","signatures":['
        + ENTRY
        + b"]}",
        replaced(b"signatures", b"Signatures"),
        signed.TINY[:-1] + b',"x":1}',
    )


def test_duplicate_fields_are_refused():
    unreadable(
        replaced(b'{"payload":"e30=', b'{"payload":"e30=","payload":"e30='),
        replaced(b'"keyid":', b'"keyid":"7599776c","keyid":'),
        signed.TINY[:-1] + b',"signatures":[]}',
    )


def test_payload_that_is_not_base64_is_refused():
    for payload in (b"e30", b"e3==", b"e", b"e30*", b"e30_", b"====", b"\xff\xff\xff\xff", b'e"0='):
        unreadable(replaced(b"e30=", payload))


def test_base64_in_another_spelling_is_refused():
    for payload in (b"e31=", b"e30", b"e30==", b"e30=\n", b" e30=", b"e3 0=", b"e30=e30=", b"e33="):
        unreadable(replaced(b"e30=", payload))


def test_url_safe_base64_is_refused():
    start = ENTRY.index(b"sig")
    assert b"+" in ENTRY[start:]
    unreadable(signed.TINY.replace(ENTRY, ENTRY.replace(b"+", b"-")))


def test_no_signature_is_refused():
    unreadable(HEAD + b"]}", HEAD[:-1] + b"]}", replaced(ENTRY, b"{}"), replaced(ENTRY, b"null"))


def test_1000_signatures_are_refused():
    # One allocation: a board's heap need not hold it twice.
    unreadable(b",".join([HEAD + ENTRY] + [ENTRY] * 998 + [ENTRY + b"]}"]))


def test_signatures_end_at_their_limit():
    most = HEAD + b",".join([ENTRY] * MAX_SIGNATURES) + b"]}"
    assert len(dsse.read(most).signatures) == MAX_SIGNATURES
    unreadable(HEAD + b",".join([ENTRY] * (MAX_SIGNATURES + 1)) + b"]}")


def test_commas_between_signatures_are_exact():
    unreadable(
        HEAD + ENTRY + ENTRY + b"]}",
        HEAD + ENTRY + b";" + ENTRY + b"]}",
        HEAD + ENTRY + b", " + ENTRY + b"]}",
        HEAD + ENTRY + b",]}",
        HEAD + b"," + ENTRY + b"]}",
    )


def test_signatures_of_another_length_are_refused():
    for count in (0, 1, 32, 63, 65, 66, 128):
        unreadable(dsse.write("order", b"{}", [(KEYID, b"s" * count)]))
    assert dsse.read(dsse.write("order", b"{}", [(KEYID, b"s" * 64)]))


def test_keyids_that_are_not_8_lower_case_hex_digits_are_refused():
    for keyid in ("7599776C", "7599776", "7599776c0", "7599776g", "", "75 9776c", '759977"c'):
        unreadable(dsse.write("order", b"{}", [(keyid, b"s" * 64)]))


def test_payload_types_that_are_not_ours_are_refused():
    ours = b"application/vnd.modelwave.order+json"
    for kind in (
        b"",
        b"application/json",
        b"application/vnd.in-toto+json",
        b"application/vnd.modelwave.order",
        b"Application/vnd.modelwave.order+json",
        b"application/vnd.modelwave.order+json;v=1",
        b"application/vnd.modelwave.or der+json",
        b"application/vnd.modelwave.order\0+json",
        b"application/vnd.modelwave.+json",
        b"application/vnd.modelwave.Order+json",
        b'application/vnd.modelwave.or"der+json',
        b"application/vnd.modelwave..order+json",
        b"application/vnd.modelwave+json",
        b"application/vnd.modelwave.\xc3\xb6rder+json",
    ):
        unreadable(replaced(ours, kind))


def test_the_signature_covers_the_payload_type():
    unproven(replaced(b"order+json", b"root+json"))


def test_the_right_signature_over_other_bytes_is_refused():
    other = dsse.read(signed.ORDER)
    unproven(dsse.write("order", b"{}", other.signatures))
    unproven(dsse.write("order", other.payload, dsse.read(signed.TINY).signatures))


def test_an_unknown_keyid_is_refused():
    assert "0 of the 1" in unproven(signed.ORDER_BY_STRANGER)
    unproven(signed.TINY, {})


def test_a_known_keyid_over_anothers_signature_is_refused():
    stranger = dsse.read(signed.ORDER_BY_STRANGER)
    disguised = [(KEYID, stranger.signatures[0][1])]
    unproven(dsse.write("order", stranger.payload, disguised))


def test_a_bad_signature_of_another_key_beside_a_good_one_does_no_harm():
    good = dsse.read(signed.TINY).signatures[0]
    stranger, other = ("00000000", bytes(64)), ("00000001", bytes(64))
    keys = {KEYID: signed.ORDER_KEY, "00000001": signed.STRANGER_KEY}
    assert verify(dsse.write("order", b"{}", [stranger, other, good]), keys) == b"{}"


def test_only_the_first_signature_of_a_key_is_verified():
    """Each takes a board a second, in which its program waits and its watchdog is not fed."""
    bad = (KEYID, bytes(64))
    envelope = dsse.Envelope("order", b"{}", [bad] * MAX_SIGNATURES)
    tried = []
    envelope._is_signed_by = lambda *_: tried.append(1)
    refused(EnvelopeError, envelope.verify, KEYS, 1)
    assert len(tried) == 1
    good = dsse.read(signed.TINY).signatures[0]
    assert "0 of the 1" in unproven(dsse.write("order", b"{}", [bad, good]))


def test_the_same_key_twice_counts_once():
    twice = HEAD + ENTRY + b"," + ENTRY + b"]}"
    keys = {KEYID: signed.ORDER_KEY, dsse.keyid(signed.STRANGER_KEY): signed.STRANGER_KEY}
    assert verify(twice, keys, 1) == b"{}"
    assert "1 of the 2" in unproven(twice, keys, 2)


def encoded(point):
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def test_two_different_signatures_of_one_key_count_once():
    """Whoever has a key can sign the same bytes again with another nonce."""
    key = encoded(ed25519.BASE)  # that of the secret scalar 1
    signatures = []
    for nonce, point in ((1, ed25519.BASE), (1 << 127, ed25519.BASE_HIGH)):
        r = encoded(point)
        k = int.from_bytes(sha512(r, key, dsse.signed_bytes("order", b"{}")), "little")
        signatures.append((dsse.keyid(key), r + ((nonce + k) % ed25519.L).to_bytes(32, "little")))
    keys = {KEYID: signed.ORDER_KEY, dsse.keyid(key): key}
    for one in signatures:
        assert verify(dsse.write("order", b"{}", [one]), keys, 1) == b"{}"
    assert "1 of the 2" in unproven(dsse.write("order", b"{}", signatures), keys, 2)


def test_one_key_under_two_ids_counts_once():
    signature = dsse.read(signed.TINY).signatures[0][1]
    both = dsse.write("order", b"{}", [(KEYID, signature), ("00000001", signature)])
    keys = {KEYID: signed.ORDER_KEY, "00000001": bytes(signed.ORDER_KEY)}
    assert verify(both, keys, 1) == b"{}"
    assert "1 of the 2" in unproven(both, keys, 2)


def test_threshold_is_met_by_that_many_distinct_keys_and_not_by_one_fewer():
    payload = dsse.read(signed.ORDER).payload
    ours = dsse.read(signed.ORDER).signatures
    theirs = dsse.read(signed.ORDER_BY_STRANGER).signatures
    keys = {KEYID: signed.ORDER_KEY, theirs[0][0]: signed.STRANGER_KEY}
    assert verify(dsse.write("order", payload, ours + theirs), keys, 2) == payload
    unproven(dsse.write("order", payload, ours), keys, 2)
    unproven(dsse.write("order", payload, theirs), keys, 2)
    unproven(dsse.write("order", payload, ours + theirs), keys, 3)


def test_threshold_below_one_is_refused():
    assert "threshold 0" in unproven(signed.TINY, KEYS, 0)
    unproven(signed.TINY, KEYS, -1)
