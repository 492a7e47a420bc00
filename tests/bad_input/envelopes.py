"""What is no envelope, or not the one that belongs there. Each of them as it comes from a stranger,
and, where it may stand in a payload too, signed by the right key: the reader of the payload has to
refuse it as well."""

import base64

from modelwave_shared import dsse, words
from tests.bad_input import fleet
from tests.bad_input.case import ALL, HEARTBEAT, ORDER, OWN, ROOT, Case, always, rejected
from tests.bad_input.fleet import NEXT, lines, order, payload
from tests.signing import ORDER_KEY, ROOT_KEYS, STRANGER

TEMPLATE = 'envelope: not the DSSE template: expected {"payload":" at byte 0'
LINES = "lines: the message has %d lines"


def text(kind, data, signatures, payload_type=None):
    """An envelope whose parts need not be in order: `data` and the signatures are base64."""
    type_ = payload_type or dsse.payload_type(kind).decode()
    told = ",".join(f'{{"keyid":"{id_}","sig":"{given}"}}' for id_, given in signatures)
    return f'{{"payload":"{data}","payloadType":"{type_}","signatures":[{told}]}}'.encode()


def b64(data):
    return base64.b64encode(data).decode()


def parts(floor):
    """(payload, signature) of a good order."""
    data = payload(fleet.order_document(floor + 1))
    return data, ORDER_KEY.sign(dsse.signed_bytes(words.ORDER, data))


def rebuilt(change, **more):
    """Makes messages whose order's payload and signature `change` turns into a pair of texts."""

    def make(floor):
        data, signature = change(*parts(floor))
        return text(words.ORDER, data, [(ORDER_KEY.id, signature)], **more) + b"\n" + NEXT.envelope

    return make


def signed_by(count):
    def make(floor):
        data, signature = parts(floor)
        # The last one is good: none may be looked at.
        pairs = [(f"{number:08x}", b64(signature)) for number in range(count - 1)]
        pairs += [(ORDER_KEY.id, b64(signature))] if count else []
        return text(words.ORDER, b64(data), pairs) + b"\n" + NEXT.envelope

    return make


def other_padding(data, signature):
    """The same payload in base64 that is not canonical."""
    while len(data) % 3 != 1:
        data += b" "  # so that the last character has spare bits
    told = b64(data)
    return told[:-3] + chr(ord(told[-3]) + 1) + "==", b64(signature)


def swapped(floor):
    first, second = order(floor + 1).split(b"\n")
    return second + b"\n" + first


def root_as_order(floor):
    return fleet.signed_root(fleet.root(2)) + b"\n" + NEXT.envelope


def in_line(before, after):
    return lambda floor: order(floor + 1).replace(before, after, 1)


# What is no document, as the payload that the order key has signed. (name, payload, what is said)
PAYLOADS = [
    ("empty", b"", "the text is cut off"),
    ("2,000 [", b"[" * 2000, "objects and lists are nested deeper"),
    ('{"a": x 400', b'{"a":' * 400, "objects and lists are nested deeper"),
    ("invalid UTF-8", b'{"fleet":"\xff\xfe"}', "byte 0xff is not printable"),
    ("UTF-8 that is too long", b'{"fleet":"\xc0\xaf"}', "byte 0xc0 is not printable"),
    ("lone surrogate", b'{"fleet":"\\ud800"}', "unknown escape, or a surrogate"),
    ("pair of surrogates", b'{"fleet":"\\ud83d\\ude00"}', "unknown escape, or a surrogate"),
    ("duplicate keys", b'{"seq":1,"seq":2}', "the key at byte 9 is a duplicate"),
    ("duplicate keys, one escaped", b'{"seq":1,"\\u0073eq":2}', "the key at byte 9 is a duplicate"),
    ("missing comma", b'{"seq":1 "epoch":1}', "expected ,"),
    ("missing comma after a number", b'{"a":1"b":2}', "no value at byte"),
    ("[1}", b"[1}", "expected ,"),
    ("key that is a number", b'{1:"seq"}', 'expected "'),
    ("key without quotes", b"{seq:1}", 'expected "'),
    ("comment", b'{"seq":1}/**/', "text after the end"),
    ("NaN", b'{"seq":NaN}', "no value at byte"),
    ("list", b"[]", "order: a list is no object"),
    ("text", b'"order"', 'order: "order" is no object'),
    ("null", b"null", "order: null is no object"),
]
# What stands before or after a good document. (name, change, what is said)
AROUND = [
    ("NUL at the end", lambda data: data + b"\0", "byte 0x00 is not printable"),
    ("JSON after the end", lambda data: data + b"{}", "text after the end"),
    ("BOM", lambda data: b"\xef\xbb\xbf" + data, "byte 0xef is not printable"),
    ("line break in it", lambda data: data.replace(b",", b",\n", 1), "byte 0x0a is not printable"),
    ("cut off", lambda data: data[:-1], "the text is cut off"),
]


def payloads():
    for name, data, says in PAYLOADS:
        yield Case("signed: " + name, always(lines(data)), "fields: " + says)
    for name, change, says in AROUND:

        def make(floor, change=change):
            return lines(change(payload(fleet.order_document(floor + 1))))

        yield Case("signed: " + name, make, "fields: " + says)


def of_other_topics():
    """The worst of them on the topics of roots and heartbeats."""
    for name, message in (
        ("8,000 [", b"[" * 8000),
        ("4,097 bytes", b"{" * 4097),
        ("invalid UTF-8", b"\xff" * 64),
        ("order", ORDER_LINE),
    ):
        yield Case("root: " + name, always(message), "root 3: ", topic=ROOT)
        yield Case("heartbeat: " + name, always(message), "heartbeat: ", topic=HEARTBEAT)
    yield Case("heartbeat: empty", always(b""), "heartbeat: not the DSSE template", topic=HEARTBEAT)
    # A broker says so that a retained message was cleared.
    for name, topic in (("order", ORDER), ("order for all", ALL), ("own order", OWN)):
        yield Case("empty: " + name, always(b""), "", topic=topic)
    yield Case("empty: root", always(b""), "", topic=ROOT)


ORDER_LINE = fleet.envelope(words.ORDER, payload(fleet.order_document(1)), ORDER_KEY)
MESSAGES = [
    Case("empty line", always(b"\n" + NEXT.envelope), TEMPLATE),
    Case("two empty lines", always(b"\n"), TEMPLATE),
    Case("4,097 bytes", always(b"{" * 4097 + b"\n" + NEXT.envelope), "envelope: 4097 bytes"),
    Case("message of 8,194 bytes", always(b"x" * 8194), "lines: the message has 8194 bytes"),
    Case("8,000 [", always(b"[" * 8000), LINES % 1),
    Case("4,000 [ on each line", always(b"[" * 4000 + b"\n" + b"[" * 4000), TEMPLATE),
    Case('{"a": x 3,000', always(b'{"a":' * 3000), "lines: the message has 15000 bytes"),
    Case('{"a": x 800', always(b'{"a":' * 800 + b"\n" + NEXT.envelope), TEMPLATE),
    Case("NUL at the end", lambda floor: order(floor + 1) + b"\0", "envelope: "),
    Case("NUL after the order", in_line(b"]}\n", b"]}\0\n"), "envelope: "),
    Case("JSON after the end", lambda floor: order(floor + 1) + b"{}", "envelope: "),
    Case("blank at the end", lambda floor: order(floor + 1) + b" ", "envelope: "),
    Case("CR before the line break", in_line(b"]}\n", b"]}\r\n"), "envelope: "),
    Case("BOM", lambda floor: b"\xef\xbb\xbf" + order(floor + 1), TEMPLATE),
    Case("UTF-16", lambda floor: order(floor + 1).decode().encode("utf-16-le"), "envelope: "),
    Case("invalid UTF-8", in_line(b'"payload"', b'"payl\xffoad"'), TEMPLATE),
    Case("invalid UTF-8 in a key id", in_line(b'"keyid":"', b'"keyid":"\xc0\xaf'), "envelope: sig"),
    Case("lone surrogate", in_line(b'"payload"', b'"\\ud800"'), TEMPLATE),
    Case("duplicate keys", in_line(b'{"payload"', b'{"payload":"","payload"'), "envelope: "),
    Case("key by an escape", in_line(b'"payload"', b'"\\u0070ayload"'), TEMPLATE),
    Case("missing comma", in_line(b'","payloadType"', b'" "payloadType"'), "envelope: "),
    Case("blank after a colon", in_line(b'"payload":', b'"payload": '), TEMPLATE),
    Case("[1}", always(b"[1}\n" + NEXT.envelope), TEMPLATE),
    Case("key that is a number", in_line(b'{"payload"', b"{1"), TEMPLATE),
    Case("unknown key", in_line(b'{"payload"', b'{"x":1,"payload"'), TEMPLATE),
    Case("bad base64", rebuilt(lambda data, sig: ("!" + b64(data), b64(sig))), "envelope: payload"),
    Case("base64 of URLs", rebuilt(lambda data, sig: ("_-8=", b64(sig))), "envelope: payload"),
    Case("base64 with other padding", rebuilt(other_padding), "envelope: payload: not canonical"),
    Case(
        "base64 without padding",
        rebuilt(lambda data, sig: (b64(data), b64(sig).rstrip("="))),
        "envelope: sig: not canonical",
    ),
    Case("no signature", signed_by(0), "envelope: not the DSSE template"),
    Case("9 signatures", signed_by(9), "envelope: signatures: more than 8"),
    Case("1,000 signatures", signed_by(1000), "lines: the message has "),
    Case(
        "signature of 63 bytes",
        rebuilt(lambda data, sig: (b64(data), b64(sig[:63]))),
        "envelope: signatures: a signature has 64 bytes, this one 63",
    ),
    Case(
        "signature of 65 bytes",
        rebuilt(lambda data, sig: (b64(data), b64(sig + b"\0"))),
        "envelope: signatures: a signature has 64 bytes, this one 65",
    ),
    Case(
        "unknown key id",
        lambda floor: order(floor + 1).replace(ORDER_KEY.id.encode(), b"00000000", 1),
        "signed: signatures: 0 of the 1 needed order keys",
    ),
    Case(
        "key id in upper case",
        lambda floor: order(floor + 1).replace(ORDER_KEY.id.encode(), b"ABCDEF01", 1),
        "envelope: signatures: a keyid has 8",
    ),
    Case(
        "wrong payload type",
        rebuilt(lambda data, sig: (b64(data), b64(sig)), payload_type="application/json"),
        "envelope: payloadType",
    ),
    Case(
        "payload type of nobody",
        rebuilt(
            lambda data, sig: (b64(data), b64(sig)),
            payload_type="application/vnd.modelwave.motd+json",
        ),
        "kind: a stranger instead of an order",
    ),
    Case("root in the place of an order", root_as_order, "kind: a root instead of an order"),
    Case("lines exchanged", swapped, "kind: a manifest instead of an order"),
    Case("one line", lambda floor: order(floor + 1).split(b"\n")[0], LINES % 1),
    Case("three lines", lambda floor: order(floor + 1) + b"\n" + NEXT.envelope, LINES % 3),
    Case("line break at the end", lambda floor: order(floor + 1) + b"\n", LINES % 3),
]


def root_by(*pairs):
    """Makes roots 3 with signatures (key, id under which it stands)."""
    data = payload(fleet.root(3))
    message = dsse.signed_bytes(words.ROOT, data)
    return always(dsse.write(words.ROOT, data, [(id_, key.sign(message)) for key, id_ in pairs]))


def twice(name, *pairs):
    says = "root 3: signatures: 1 of the 2 needed root keys"
    return Case(name, root_by(*pairs), says, topic=ROOT)


def in_another_envelope(floor):
    """An order that is refused for good, and then the same payload under one more signature."""
    made = fleet.order_document(floor + 1, fleet.release(7, b"m", target="esp32"))
    data = payload({**made, "target": fleet.TARGET})
    line = fleet.release(7, b"m", target="esp32").envelope
    return [
        fleet.envelope(words.ORDER, data, *keys) + b"\n" + line
        for keys in ([ORDER_KEY], [ORDER_KEY, STRANGER], [STRANGER, ORDER_KEY])
    ]


A, B = ROOT_KEYS[:2]
CASES = [
    *MESSAGES,
    *payloads(),
    *of_other_topics(),
    twice("same key twice", (A, A.id), (A, A.id)),
    twice("one key under two ids", (A, A.id), (A, B.id)),
    # One payload is judged once, whatever envelope it comes in.
    rejected("same payload in another envelope", in_another_envelope, "manifest: it is for target"),
]
