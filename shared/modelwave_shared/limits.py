"""All limits in one place. Names have the unit; a comment gives the source of a figure."""

# Documents. An order and a manifest together fit into a board's receive buffer.
MAX_ENVELOPE_BYTES = 4096
MAX_SIGNATURES = 8
KEYID_CHARACTERS = 8
MAX_NESTING = 6
MAX_TEXT = 200  # characters of a free text: version, reason, dataset
MAX_NAME = 63  # fleet, model, target, device: [a-z0-9][a-z0-9_-]{0,62}

# Numbers. Every JSON reader keeps integers below 2^53 exact (RFC 8259, section 6). MicroPython
# has small ints up to 2^30 on a board, and big ones above.
MAX_SEQ = 2**53 - 1
MAX_EPOCH = 2**31 - 1
MAX_BYTES = 2**31 - 1  # of a file, of flash or of RAM in a document
MAX_TIME = 2**40  # Unix seconds
EARLIEST_TIME = 1767225600  # 2026-01-01: a clock with an earlier date was never set
MILLION = 10**6  # shares are in parts per million

# How far one order may move a device on, so that who has stolen the order key cannot lock devices
# out with one order. More orders go further; a root of a new epoch starts both anew.
MAX_SEQ_STEP = 2**32  # above the last one; an honest controller counts by one
MAX_TIME_STEP_SECONDS = 400 * 86400  # of the latest signed time; a year between two orders is long
MAX_AHEAD_SECONDS = 10 * 365 * 86400  # a device may have been off for so long
CLOCK_SKEW_SECONDS = 300  # a synchronised clock may be this far behind the controller's

# Lists in documents.
MAX_FILES = 3
MAX_DELTAS = 4
MAX_URLS = 4
MAX_URL_CHARACTERS = 200
MAX_SLOT_RANGES = 16
MAX_KERNELS = 64
MAX_KEYS = 16
MAX_FILE_HOSTS = 16
MAX_MODELS = 16  # models on one device

# Settings.
MAX_BROKERS = 8  # addresses of one cluster

# The field `extra`: entries of it, and of each list or object in it; characters of all keys and
# texts together, where a number or boolean counts 16.
MAX_EXTRA_ENTRIES = 16
MAX_EXTRA_CHARACTERS = 1024
MAX_EXTRA_NESTING = 2
MAX_READS = 16  # kinds of documents in a report's field `reads`

# Rollout.
SLOTS = 1000
MAX_TRIAL_SECONDS = 7 * 86400
MAX_TRIAL_INFERENCES = 10**9

# Golden set: enough to recognise a broken model, small enough to run on a board.
MAX_GOLDEN_RECORDS = 4096
MAX_TENSOR_BYTES = 2**24

# How a host loads a model. The journal's record holds it for both banks.
MAX_TENSOR_NAME = 100  # characters of the name of an input or output
MAX_SHAPES = 4  # inputs whose shape the manifest gives
MAX_LOADING_BYTES = 360  # all of it as JSON

# A device's report: the controller refuses longer ones.
MAX_REPORT_BYTES = 16384

# A model's journal record: two banks of three files, with `loading` and a version of backslashes
# (two bytes each in JSON), and the floor.
MAX_JOURNAL_BYTES = 4096

# The journal record of a root of trust: an envelope as a JSON text, a backslash for each quote.
MAX_ROOT_JOURNAL_BYTES = MAX_ENVELOPE_BYTES + 512
