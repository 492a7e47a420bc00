"""Makes the MQTT 3.1.1 packets that a board sends; has the constants to read the answers.

Section numbers are those of the OASIS standard, version 3.1.1.
"""

# The first byte of a packet: its type in the upper four bits, its flags in the lower (2.2).
CONNECT = 0x10
CONNACK = 0x20
PUBLISH = 0x30
PUBACK = 0x40
SUBSCRIBE = 0x82
SUBACK = 0x90
PINGREQ = b"\xc0\x00"
PINGRESP = 0xD0
DISCONNECT = b"\xe0\x00"

TYPE_MASK = 0xF0
QOS_1 = 0x02  # in a PUBLISH, as a flag
RETAIN = 0x01

# Flags of a CONNECT (3.1.2.3).
CLEAN_SESSION = 0x02
WILL = 0x04
WILL_QOS_1 = 0x08
WILL_RETAIN = 0x20
PASSWORD = 0x40
USER_NAME = 0x80

MAX_PACKET_ID = 65535
MAX_GRANTED_QOS = 2  # a larger return code in a SUBACK is a refusal (3.9.3)

# Why a broker refuses a connection: the meaning of the return codes from 1 on (3.2.2.3).
REFUSALS = (
    "the broker does not speak MQTT 3.1.1",
    "the broker does not take this client id",
    "the broker is not available",
    "wrong user name or password",
    "this user may not connect",
)


def connect(
    client_id: str, user: str, password: str, will_topic: str, will: bytes, keepalive: int
) -> bytes:
    """Returns a CONNECT with a clean session and a retained will at QoS 1. `keepalive`: seconds.
    If `user` is empty, it has no user name and password."""
    flags = CLEAN_SESSION | WILL | WILL_QOS_1 | WILL_RETAIN
    fields = [client_id.encode(), will_topic.encode(), will]
    if user:
        flags |= USER_NAME | PASSWORD
        fields += [user.encode(), password.encode()]
    level = 4  # of the protocol: 3.1.1
    parts = [field(b"MQTT"), bytes((level, flags)), keepalive.to_bytes(2, "big")]
    for one in fields:
        parts.append(field(one))
    return packet(CONNECT, parts)


def publish(topic: str, payload: bytes, retain: bool, packet_id: int) -> bytes:
    """Returns a PUBLISH at QoS 1."""
    kind = PUBLISH | QOS_1 | (RETAIN if retain else 0)
    return packet(kind, [field(topic.encode()), packet_id.to_bytes(2, "big"), payload])


def puback(packet_id: int) -> bytes:
    return packet(PUBACK, [packet_id.to_bytes(2, "big")])


def subscribe(topics: "list[str]", packet_id: int) -> bytes:
    """Returns a SUBSCRIBE to the topics at QoS 1."""
    parts = [packet_id.to_bytes(2, "big")]
    for topic in topics:
        parts.append(field(topic.encode()) + b"\x01")
    return packet(SUBSCRIBE, parts)


def packet(kind: int, parts: "list[bytes]") -> bytes:
    """Returns a packet: its first byte `kind`, the length of the rest (7 bits per byte, lowest
    first, 2.2.3), and the parts. They are joined once: a board has no heap for two copies."""
    head = bytearray((kind,))
    size = sum(map(len, parts))
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return b"".join([bytes(head)] + parts)


def field(data: bytes) -> bytes:
    """Returns a string or binary field: its length in two bytes, then its bytes (1.5.3)."""
    return len(data).to_bytes(2, "big") + data


def refusal(code: int) -> str:
    """Returns why the broker refused the connection; `code` is its CONNACK's return code, not 0."""
    if code <= len(REFUSALS):
        return REFUSALS[code - 1]
    return "the broker refused the connection with the unknown code %d" % code
