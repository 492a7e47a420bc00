"""The limits of the embedded broker, in one place. What is beyond one is refused or ends the
connection, and the log says so; no limit grows with what a client does.

A client of the embedded broker is a device or a controller. Without credentials nobody is known,
and each client counts as a controller: such a broker is reachable from its own machine only.
"""

# Where the embedded broker ends: devices that are connected. Beyond it, a device is told that the
# server is unavailable, and the log names Mosquitto.
MAX_DEVICES = 2000
# All connections, with those of controllers and those that are not admitted yet.
MAX_CONNECTIONS = MAX_DEVICES + 300
# Connections of one address that have not sent their CONNECT; beyond it the oldest is ended.
MAX_WAITING_BY_ADDRESS = 250
# From the start of a connection to its CONNECT, and from there to the end of the password check.
CONNECT_SECONDS = 10
# Logins of one address whose passwords wait to be checked.
MAX_CHECKS_BY_ADDRESS = 200

# The largest packet a client may send, without the 2 to 5 bytes of its fixed header. A pair
# of envelopes on a desired topic is 8 KiB, a report 16 KiB, a block 1 KiB.
MAX_PACKET_BYTES = 64 * 1024
# A CONNECT comes from a stranger; its largest part is the last will.
MAX_CONNECT_BYTES = 16 * 1024

# A device with 16 models has 52 filters, in one SUBSCRIBE.
MAX_FILTERS_IN_A_PACKET = 128
MAX_FILTERS_OF_A_CLIENT = 256
MAX_LEVELS = 16  # of a filter or topic; modelwave's own have seven

# Messages at QoS 1 that are sent and not acknowledged yet; those beyond it wait in the queue.
MAX_IN_FLIGHT = 100
# Messages at QoS 2 that a client sent and did not release.
MAX_UNRELEASED = 100
# What waits for a connected client, in bytes; a client beyond it is disconnected.
MAX_QUEUED_FOR_A_DEVICE = 1024 * 1024
MAX_QUEUED_FOR_A_CONTROLLER = 64 * 1024 * 1024
# When so much waits for a controller, those that send to it are not read until it has caught up.
CROWDED_BYTES = 32 * 1024 * 1024
# When so much waits for one, a device that has sent so much since then is not read until half of it
# is gone: what others say would come behind all of that.
BUSY_BYTES, AHEAD_BYTES = 128 * 1024, 32 * 1024
# A message that waits costs these bytes besides its topic and payload.
MESSAGE_BYTES = 200
# A client that does not read the bytes waiting for it within this time is disconnected.
WRITE_SECONDS = 10
# How long the last bytes of a connection that is closed may take to be sent.
FLUSH_SECONDS = 1

# Sessions kept for absent clients that asked for it; beyond it the oldest is forgotten.
MAX_KEPT_SESSIONS = MAX_DEVICES
SESSION_EXPIRY_SECONDS = 24 * 3600
# Messages kept for one of them; beyond it the oldest is dropped.
MAX_KEPT_FOR_ABSENT = 1000

MAX_RETAINED = 100_000
MAX_RETAINED_BYTES = 256 * 1024 * 1024

# A client whose packets take longer than this of a core in one go lets others come between; a
# device's next packets are read after WAIT_FACTOR times as long.
TURN_SECONDS = 0.005
WAIT_FACTOR = 4
# A device that has had so many turns within the seconds is named in the log.
FLOOD_TURNS, FLOOD_SECONDS = 200, 60
