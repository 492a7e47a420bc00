"""The database's tables (SQLite or PostgreSQL; plain SQLAlchemy Core), as they are after the
newest of migrations/versions.

`events` is the only source of truth. `orders` and `outbox` are written in the transaction of
the event that causes them. The tables below them hold the newest messages of each device; the
log has only what these mean for rollouts. The counters follow from both, and are kept with them in
their transactions, so that nobody has to go through the fleet or the log to count.
"""

from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
)

metadata = MetaData()


def only_where(condition: str) -> dict[str, str]:
    """Notes of which rows an index is. The migrations make it so; SQLAlchemy's own words for it
    would import PostgreSQL's dialect into each command."""
    return {"where": condition}


# "schema", for a modelwave from before the migrations; "event", the newest event's id, which each
# writer locks, so that ids increase in the order of commits; "ticked", Unix seconds of a recent
# tick; "heard", the number of batches with a device's newer report; "counted", the newest event
# that the counters have, and "counters", the version of their rules (counting.py); "members", which
# increases when the operator enrols, approves, revokes or forgets devices; "unnoted", as for
# log_chain.beginning.
heads = Table(
    "heads",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    # Of "event": its hash, and that of the newest event that is no answer (log_chain.py).
    Column("chain", LargeBinary),
    Column("chain_but_answers", LargeBinary),
)

# One row: the rollout clock (rollout/clock.py), and the operator's last word about the wall clock.
clock = Table(
    "clock",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("seconds", Float(53), nullable=False),  # in which services did their ticks
    Column("wall", Float(53), nullable=False),  # Unix seconds that the wall clock should show then
    Column("doubt", Text, nullable=False),  # why it is in doubt, or ""
    # The newest event at the start of the service that doubted it; 0: a running one doubted it.
    Column("doubt_event", BigInteger, nullable=False),
    Column("accepts", Integer, nullable=False),  # how often the operator accepted it
    Column("accepted", Text, nullable=False),  # the operator's reason
    Column("accepted_at", Float(53), nullable=False),  # Unix seconds
    Column("accepted_event", BigInteger, nullable=False),  # the newest event then
)

# Row 1: the service that leads (lease.py), and its connection to the broker. The others: the ingest
# processes, if there are any (shares.py).
lease = Table(
    "lease",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("holder", Text, nullable=False),  # random; "": nobody
    Column("host", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("place", Text, nullable=False),  # where the pid means something
    Column("generation", BigInteger, nullable=False),  # increases with each new holder
    Column("beat", BigInteger, nullable=False),  # increases while the holder leads
    Column("connected", Boolean, nullable=False),
    Column("connected_since", Float(53), nullable=False),  # Unix seconds; also of a loss
    Column("shares", BigInteger, nullable=False, server_default="0"),  # that the devices are in
    Column("renewed_at", Float(53), nullable=False, server_default="0"),  # Unix seconds
)

# What ingest processes hand over to the service that leads (handover.py).
handed_over = Table(
    "handed_over",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # JSON
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("rollout", Integer, nullable=False),
    Column("at", Float(53), nullable=False),  # Unix seconds
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),  # JSON (events.py)
    Column("chain", LargeBinary),  # its hash (log_chain.py); none: modelwave has not written it
    Index("events_by_kind", "kind", "rollout"),
    # Answers are most of the log, and who follows the rollouts reads the others.
    Index(
        "events_but_answers",
        "id",
        info=only_where("kind <> 'reported'"),
    ),
)

# Ranges of answers that pruning has deleted from the log (deleted_answers.py).
deleted_answers = Table(
    "deleted_answers",
    metadata,
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("chain", LargeBinary, nullable=False),  # hash of the last one
    Index("deleted_answers_by_last", "last"),
)

# Payloads of retained topics, each stored once for all its topics, and manifests' envelopes.
blobs = Table(
    "blobs",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

# The published orders, to which devices' answers belong.
orders = Table(
    "orders",
    metadata,
    Column("model", Text, primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("rollout", Integer, nullable=False),
    Column("target", Text, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("slots", Text, nullable=False),  # JSON: [[first, last], …]
    # The blob with its message, to put it on further topics; "": older than this column.
    Column("message", Text, nullable=False, server_default=""),
    Column("device", Text, nullable=False, server_default=""),  # if it is for one device
    # Unix seconds, as in the order; 0: older than these columns.
    Column("issued", BigInteger, nullable=False, server_default="0"),
    Column("expires", BigInteger, nullable=False, server_default="0"),
    # A device that runs the release already says nothing new when it answers.
    Column("quiet", Boolean, nullable=False, server_default=false()),
    # It runs the release beside the live one.
    Column("shadow", Boolean, nullable=False, server_default=false()),
)

# By model: the sequence number that the controller's orders of this epoch must be above.
floors = Table(
    "floors",
    metadata,
    Column("model", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
)

# Devices that report an older order than theirs, though the broker has acknowledged it. Times are
# in seconds of the rollout clock.
repairs = Table(
    "repairs",
    metadata,
    Column("device", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),  # of its order
    Column("since", Float(53), nullable=False),  # when this was first seen
    Column("times", Integer, nullable=False),  # how often the order was sent again
    Column("due", Float(53), nullable=False),  # not again before
)

# What each retained topic must hold. `version` increases with each change; `acked` is the
# version that the broker has acknowledged. Without a blob the topic is cleared.
outbox = Table(
    "outbox",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("blob", Text, ForeignKey("blobs.sha256")),
    Column("version", BigInteger, nullable=False),
    Column("acked", BigInteger, nullable=False),
    # The service looks for them each half second.
    Index(
        "outbox_unsent",
        "topic",
        info=only_where("acked < version"),
    ),
)

devices = Table(
    "devices",
    metadata,
    Column("device", Text, primary_key=True),
    Column("target", Text, nullable=False),
    Column("slot", Integer, nullable=False),
    Column("boot", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("seen_at", Float(53), nullable=False),
    Column("agent", Text, nullable=False),
    Column("free_flash", BigInteger, nullable=False),
    Column("free_ram", BigInteger, nullable=False),
    Column("runtime", Text, nullable=False),  # all that it offers (offers.py)
    Column("runtime_version", Text, nullable=False),  # of the first of them
    Column("accelerator", Text, nullable=False),
    Column("refused", Text, nullable=False),
    Column("stale", BigInteger, nullable=False),  # number of older reports that came after it
    # JSON: {kind: highest format version that it reads}; "": the report does not say.
    Column("reads", Text, nullable=False, server_default=""),
    # The rollout clock at its last report.
    Column("seen_clock", Float(53), nullable=False, server_default="0"),
    # The number of the batch (`heads`) with its last report.
    Column("heard", BigInteger, nullable=False, server_default="0"),
    # The install of its last report, and the numbers of earlier ones as JSON (installs.py).
    Column("install", Text, nullable=False, server_default=""),
    Column("installs", Text, nullable=False, server_default=""),
    Column("replaced_at", Float(53), nullable=False, server_default="0"),  # Unix seconds; 0: never
    # Ignored reports of a second device with its id, and the rollout clock at the last of them.
    Column("clones", BigInteger, nullable=False, server_default="0"),
    Column("clone_clock", Float(53), nullable=False, server_default="0"),
    Column("view", Text, nullable=False, server_default=""),  # of its orders (views.py)
    # The version of the root that it trusts; 0: it does not say.
    Column("root", BigInteger, nullable=False, server_default="0"),
    Column("via", Text, nullable=False, server_default=""),  # its gateway (gateways.py)
    Index("devices_by_slot", "target", "slot"),
    Index("devices_by_heard", "heard", "device"),
    # Few devices are one of these, and each status names them.
    Index(
        "devices_that_refused",
        "device",
        info=only_where("refused <> ''"),
    ),
    Index(
        "devices_by_gateway",
        "via",
        "device",
        info=only_where("via <> ''"),
    ),
    Index(
        "devices_with_clones",
        "device",
        info=only_where("clones > 0"),
    ),
)

# Newer reports that say what `devices` and `device_models` have of the device (last_heard.py).
last_heard = Table(
    "last_heard",
    metadata,
    Column("device", Text, primary_key=True),
    Column("boot", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),  # Unix seconds
    Column("clock", BigInteger, nullable=False),  # the rollout clock then
    Column("free_flash", BigInteger, nullable=False),
    Column("free_ram", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

device_models = Table(
    "device_models",
    metadata,
    Column("device", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("release", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    # The manifest of which the log says SUCCEEDED, if that is the device's newest answer there, and
    # the device still runs it.
    Column("proved", Text, nullable=False, server_default=""),
    # While it is tried again: failed tries, and seconds from the report to the next one.
    Column("tries", BigInteger, nullable=False, server_default="0"),
    Column("next_seconds", BigInteger, nullable=False, server_default="0"),
    # Bytes of the live release's download that a delta has spared.
    Column("saved", BigInteger, nullable=False, server_default="0"),
    # How often it has gone on with its order after it refused it (answers.py).
    Column("went_on", BigInteger, nullable=False, server_default="0"),
    Index(
        "device_models_saved",
        "sha256",
        "saved",
        info=only_where("saved > 0"),
    ),
    Index("device_models_by_number", "model", "epoch", "seq"),  # for devices that are ahead
)

# Counters: how many devices report a model, by place and by what they read (as in devices).
reporting = Table(
    "reporting",
    metadata,
    Column("model", Text, primary_key=True),
    Column("target", Text, primary_key=True),
    Column("slot", Integer, primary_key=True),
    Column("reads", Text, primary_key=True),
    Column("devices", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The orders of each rollout, and the wave (waves.py) that their answers count for.
wave_orders = Table(
    "wave_orders",
    metadata,
    Column("rollout", Integer, primary_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("wave", Integer, nullable=False),
    Column("opens", Boolean, nullable=False),  # whom it is for, the wave counts
    Column("target", Text, nullable=False),
    Column("slots", Text, nullable=False),  # JSON, as in orders
    Column("device", Text, nullable=False),
    Index("wave_orders_by_wave", "rollout", "wave"),
)

# Databases use an index with a condition only for a query that has it literally.
NO_SUCCESS = (
    "(outcome NOT IN ('', 'SUCCEEDED', 'SHADOWED') OR later NOT IN ('', 'SUCCEEDED', 'SHADOWED'))"
)

# Each device's newest answer to each wave that it has answered.
answered = Table(
    "answered",
    metadata,
    Column("device", Text, primary_key=True),
    Column("rollout", Integer, primary_key=True),
    Column("wave", Integer, primary_key=True),
    # Of the order that it answers; without an outcome, of the one whose answer is awaited.
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("outcome", Text, nullable=False),  # "": it has not answered
    Column("reason", Text, nullable=False),
    # The outcome of a newer answer, to the orders for all that followed the wave; or "".
    Column("later", Text, nullable=False),
    Column("inside", Integer, nullable=False),  # 1: it is one of those whom the wave is for
    Index(
        "answered_outside",
        "rollout",
        "wave",
        info=only_where("inside = 0"),
    ),
    Index(
        "answered_no_success",
        "rollout",
        "device",
        info=only_where(NO_SUCCESS),
    ),
    sqlite_with_rowid=False,
)

# Counters: the rows of `answered`.
answer_counts = Table(
    "answer_counts",
    metadata,
    Column("rollout", Integer, primary_key=True),
    Column("wave", Integer, primary_key=True),
    Column("outcome", Text, primary_key=True),
    Column("later", Text, primary_key=True),
    Column("inside", Integer, primary_key=True),
    Column("devices", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The answers in `events` that this program does not understand: they say what may not be decided.
unread_answers = Table(
    "unread_answers",
    metadata,
    Column("event", BigInteger, primary_key=True, autoincrement=False),
)

# The operator's words for devices; no message of a device changes them.
tags = Table(
    "tags",
    metadata,
    Column("device", Text, primary_key=True),
    Column("tag", Text, primary_key=True),
)

# The devices that the operator enrolled or approved. A time is in Unix seconds, 0: never.
enrolled = Table(
    "enrolled",
    metadata,
    Column("device", Text, primary_key=True),
    Column("target", Text, nullable=False),
    # Increases with each set of secrets; the device's report key follows from it. 0: approved only.
    Column("generation", BigInteger, nullable=False),
    Column("verifier", Text, nullable=False),  # of its password, for brokers; "": it has none
    Column("enrolled_at", Float(53), nullable=False),
    Column("revoked_at", Float(53), nullable=False),
    Column("approved_at", Float(53), nullable=False),
)

# Devices that reported and do not count (admission.py): revoked ones, and those to be approved.
waiting = Table(
    "waiting",
    metadata,
    Column("device", Text, primary_key=True),
    Column("target", Text, nullable=False),  # as its last report says
    Column("reports", BigInteger, nullable=False),
    Column("since", Float(53), nullable=False),  # Unix seconds
    Column("seen_at", Float(53), nullable=False),
)

# Who may use the API (people/tokens.py). A time is in Unix seconds, 0: never.
alerts = Table(
    "alerts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("cursor", BigInteger, nullable=False),  # event up to which all was sent or given up
    Column("until", BigInteger, nullable=False),  # newest event in the message under way; 0: none
    Column("tries", BigInteger, nullable=False),  # of it, that have failed
    Column("since", Float(53), nullable=False),  # its first try, by the rollout clock
    Column("sent", BigInteger, nullable=False),  # messages
    Column("sent_at", Float(53), nullable=False),  # the last, in Unix seconds; 0: never
    Column("given_up", BigInteger, nullable=False),  # alerts that were not sent
    Column("error", Text, nullable=False),  # of the last try that failed, or ""
    Column("error_at", Float(53), nullable=False),  # in Unix seconds
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("id", Text, primary_key=True),  # public
    Column("name", Text, nullable=False),  # of the person or program
    Column("role", Text, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of the secret, in hex
    Column("made_at", Float(53), nullable=False),
    Column("made_by", Text, nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("last_used", Float(53), nullable=False),  # at most an hour behind
    Column("revoked_at", Float(53), nullable=False),
)

# Requests that came with a key, for a day: one that is repeated is done once.
kept_requests = Table(
    "kept_requests",
    metadata,
    Column("name", Text, primary_key=True),  # of who asked
    Column("key", Text, primary_key=True),  # that they gave it
    Column("request", Text, nullable=False),  # SHA-256 of what was asked, in hex
    Column("run", Text, nullable=False),  # one try to do it, by chance
    Column("at", Float(53), nullable=False),
    Column("status", Integer, nullable=False),  # of HTTP; 0: done, and the answer is not known
    Column("answer", LargeBinary, nullable=False),  # compressed by zlib
    Index("kept_requests_at", "at"),
)

presence = Table(
    "presence",
    metadata,
    Column("device", Text, primary_key=True),
    Column("online", Boolean, nullable=False),
    Column("at", Float(53), nullable=False),
)

# Messages that could not be read, by the device that their topic names.
bad_messages = Table(
    "bad_messages",
    metadata,
    Column("device", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float(53), nullable=False),
)

# Reports and windows that were not proven (proven.py), by the device that their topic names.
unproven = Table(
    "unproven",
    metadata,
    Column("device", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Float(53), nullable=False),  # Unix seconds
)

# What is known of each device's proven messages (proven_numbers.py), as JSON.
proven = Table(
    "proven",
    metadata,
    Column("device", Text, primary_key=True),
    Column("generation", BigInteger, nullable=False),  # of the key that proved them
    Column("numbers", Text, nullable=False),
)


def _sums(name: str, *more: str) -> Table:
    """Sums of all windows of a device and a release (metrics.py)."""
    counts = ("inferences", "failures", "labelled", "correct", *more)
    return Table(
        name,
        metadata,
        Column("device", Text, primary_key=True),
        Column("model", Text, primary_key=True),
        Column("release", BigInteger, primary_key=True),
        Column("boot", BigInteger, nullable=False),  # the newest window in the sums
        Column("n", BigInteger, nullable=False),
        *(Column(count, BigInteger, nullable=False) for count in counts),
        Column("install", Text, nullable=False, server_default=""),  # as in devices
        Column("installs", Text, nullable=False, server_default=""),
    )


def _measured() -> list[Column[Any]]:
    """What was measured in one window or in several."""
    return [
        Column("seconds", BigInteger, nullable=False),  # 0: late labels alone
        Column("inferences", BigInteger, nullable=False),
        Column("failures", BigInteger, nullable=False),
        Column("labelled", BigInteger, nullable=False),
        Column("correct", BigInteger, nullable=False),
        Column("latency_count", BigInteger, nullable=False),
        Column("latency_log", Float(53), nullable=False),  # sum of ln(milliseconds)
        Column("measures", Text, nullable=False),  # JSON (measures.py); "": none
    ]


def _windows(name: str) -> Table:
    """The windows of the last two days, as devices sent them (windows.py)."""
    return Table(
        name,
        metadata,
        Column("device", Text, primary_key=True),
        Column("model", Text, primary_key=True),
        Column("install", Text, primary_key=True),
        Column("boot", BigInteger, primary_key=True),
        Column("number", BigInteger, primary_key=True),  # of its first window since that boot
        Column("release", BigInteger, primary_key=True),
        Column("documents", Text, nullable=False),  # `n` of those that are in it
        Column("ended", Float(53), nullable=False),  # by the rollout clock
        Column("heard", BigInteger, nullable=False),  # by the rollout clock: its last document
        *_measured(),
        sqlite_with_rowid=False,
    )


def _spans(name: str) -> Table:
    """Older windows, put together by hour and then by day of the rollout clock."""
    return Table(
        name,
        metadata,
        Column("device", Text, primary_key=True),
        Column("model", Text, primary_key=True),
        Column("span", Integer, primary_key=True),  # 3600 or 86400 seconds
        Column("number", BigInteger, primary_key=True),  # its windows ended in this span
        Column("release", BigInteger, primary_key=True),
        *_measured(),
        sqlite_with_rowid=False,
    )


class WindowTables(NamedTuple):
    """The tables of windows of one kind. `counts` are the columns that their sums have."""

    windows: Table
    spans: Table
    sums: Table
    counts: tuple[str, ...]


COUNTS = ("inferences", "failures", "labelled", "correct")
COMPARED = ("compared", "agreed")  # outputs of a model that runs beside the live one

metrics, windows, window_spans = _sums("metrics"), _windows("windows"), _spans("window_spans")
LIVE = WindowTables(windows, window_spans, metrics, COUNTS)
# Of models that ran beside the live one. They have tables of their own, so that what asks for the
# windows of a release finds those of its answers alone.
SHADOW = WindowTables(
    _windows("shadow_windows"),
    _spans("shadow_spans"),
    _sums("shadow_metrics", *COMPARED),
    (*COUNTS, *COMPARED),
)
WINDOW_TABLES = (LIVE, SHADOW)
