"""The packets of MQTT 3.1.1 that a simulated device sends; broker/packets.py has those that both
ends send. Pure."""

from modelwave_controller.broker.packets import CONNECT, PINGREQ, PROTOCOL_LEVEL, SUBSCRIBE, packet

PING = bytes((PINGREQ << 4, 0))
MAX_PACKET_ID = 65535

_CLEAN, _WILL, _RETAINED_WILL = 0x02, 0x04, 0x20
_WILL_QOS_1 = 0x08
_PASSWORD, _USER = 0x40, 0x80
_QOS_1 = b"\1"
_SUBSCRIBE_FLAGS = 2


def connect(
    client_id: str, user: str, password: str, will_topic: str, will: bytes, keep_alive_seconds: int
) -> bytes:
    """A CONNECT with a clean session and a retained will at QoS 1. `user` may be ""."""
    flags = _CLEAN | _WILL | _RETAINED_WILL | _WILL_QOS_1
    fields = [client_id.encode(), will_topic.encode(), will]
    if user:
        flags |= _USER | (_PASSWORD if password else 0)
        fields += [user.encode(), *([password.encode()] if password else [])]
    head = _field(b"MQTT") + bytes((PROTOCOL_LEVEL, flags)) + keep_alive_seconds.to_bytes(2, "big")
    return packet(CONNECT << 4, head + b"".join(map(_field, fields)))


def subscribe(packet_id: int, filters: list[str]) -> bytes:
    body = packet_id.to_bytes(2, "big")
    body += b"".join(_field(one.encode()) + _QOS_1 for one in filters)
    return packet(SUBSCRIBE << 4 | _SUBSCRIBE_FLAGS, body)


def _field(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data
