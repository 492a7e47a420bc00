"""The fields of a heartbeat: the controller's answer to the nonce in a device's report (see
schema.py). It proves to the device that its view of its orders is of now.
"""

from modelwave_shared.fields import name, nonce
from modelwave_shared.limits import MAX_EPOCH, MAX_MODELS, MAX_TIME
from modelwave_shared.rules import Integer, MapOf
from modelwave_shared.schema import COUNT, EPOCH, Kind
from modelwave_shared.words import HEARTBEAT

KIND = Kind(
    HEARTBEAT,
    {
        "fleet": name,
        "device": name,
        "nonce": nonce,  # of the report that it answers
        "time": Integer(0, MAX_TIME),
        "epoch": EPOCH,
        "root": Integer(1, MAX_EPOCH),  # the version of the newest root
        # {model: the highest sequence of the orders that this device must have seen; 0: none}
        "models": MapOf(name, COUNT, 0, MAX_MODELS),
    },
)
