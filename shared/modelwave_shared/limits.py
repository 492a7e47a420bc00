"""Every bound in one place. Names carry their unit; a comment says where a figure is from."""

# Documents. An order and a manifest fit a board's receive buffer together.
MAX_ENVELOPE_BYTES = 4096
MAX_SIGNATURES = 8
KEYID_CHARACTERS = 8
MAX_NESTING = 6
MAX_TEXT = 200  # characters of a free text: version, reason, dataset
MAX_NAME = 63  # fleet, model, target, device: [a-z0-9][a-z0-9_-]{0,62}

# Numbers. JSON numbers stay exact in every reader below 2^53 (RFC 8259, section 6);
# a board's small int ends at 2^30, but MicroPython goes on with big ones.
MAX_SEQ = 2**53 - 1
MAX_EPOCH = 2**31 - 1
MAX_BYTES = 2**31 - 1  # of a file, of flash, of RAM: what a document may ask for
MAX_TIME = 2**40  # Unix seconds

# Lists in documents.
MAX_FILES = 3
MAX_DELTAS = 4
MAX_URLS = 4
MAX_URL_CHARACTERS = 200
MAX_SLOT_RANGES = 16
MAX_KERNELS = 64
MAX_KEYS = 16
MAX_MODELS = 16  # models on one device

# What stands in `extra`: as many entries in it, and in a list or object there; characters of
# all keys and texts together, a number being 16.
MAX_EXTRA_ENTRIES = 16
MAX_EXTRA_CHARACTERS = 1024
MAX_EXTRA_NESTING = 2
MAX_READS = 16  # kinds of documents whose format a report names

# Rollout.
SLOTS = 1000
MAX_TRIAL_SECONDS = 7 * 86400
MAX_TRIAL_INFERENCES = 10**9

# Golden set: enough to tell a broken model, small enough to run on a board.
MAX_GOLDEN_RECORDS = 4096
MAX_TENSOR_BYTES = 2**24

# A device's report, as the controller takes it from the wire.
MAX_REPORT_BYTES = 16384

# A model's journal record: two banks of three files and the floor are under 2 KiB.
MAX_JOURNAL_BYTES = 4096
