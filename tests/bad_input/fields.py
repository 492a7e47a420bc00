"""Documents that are signed by the right key, and say what they must not."""

import copy

from tests.bad_input import fleet
from tests.bad_input.case import ORDER, Case, rejected
from tests.bad_input.fleet import LIVE, NEXT, lines, manifest_order, order, payload
from tests.board.releases import release
from tests.signing import ISSUED

SHA = "0123456789abcdef" * 4
# What stands in the place of a number. (name, JSON)
NUMBERS = [
    ("-1", b"-1"),
    ("true", b"true"),
    ("1e999", b"1e999"),
    ("1e2", b"1e2"),
    ("2^63", b"9223372036854775808"),
    ("2^53", b"9007199254740992"),
    ("1,500 digits", b"9" * 1500),
    ("007", b"007"),
    ("1.0", b"1.0"),
    ("-0", b"-0"),
    ("+1", b"+1"),
    ("0x10", b"0x10"),
    ("1_000", b"1_000"),
    ("text", b'"7"'),
    ("null", b"null"),
    ("full-width digits", b'"\\uff17"'),
]
HASHES = [
    ("upper case", SHA.upper()),
    ("short", SHA[:63]),
    ("long", SHA + "0"),
    ("not hex", "g" * 64),
    ("empty", ""),
    ("with a line break", SHA + "\n"),
    ("full-width digits", "\uff10" * 64),
]
NAMES = [
    ("../../etc/x", "../../etc/x"),
    ("absolute", "/etc/passwd"),
    ("with NUL", "digits\0"),
    ("with a line break", "digits\nx"),
    ("empty", ""),
    (".", "."),
    ("upper case", "Digits"),
    ("of 64 characters", "d" * 64),
    ("of 800 characters", "d" * 800),
    ("with a wildcard", "+"),
    ("with a slash at the end", "digits/"),
    ("in Cyrillic letters", "d\u0456gits"),
    ("with an invisible character", "dig\u200bits"),
    ("with an accent that combines", "digits\u0301"),
    ("as an option", "-digits"),
]
URLS = [
    ("file:", "file:///etc/passwd"),
    ("ftp:", "ftp://files.test"),
    ("user:password@", "http://user:password@files.test"),
    ("user@", "http://user@files.test"),
    ("no host", "http:///x"),
    ("no scheme", "files.test/x"),
    ("with a line break", "http://files.test/\r\nHost: x"),
    ("with NUL", "http://files.test/\0"),
    ("with a query", "http://files.test/?x"),
    ("of 201 characters", "http://files.test/" + "x" * 183),
    ("scheme in upper case", "HTTP://files.test"),
    ("in Cyrillic letters", "http://f\u0456les.test"),
    ("backslash", "http:\\\\files.test"),
]


def put(document, path, data):
    """The payload of `document` with the JSON text `data` at a path such as needs.ram."""
    made = copy.deepcopy(document)
    place = made
    *steps, last = path.split(".")
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[last] = "what stands here"
    return payload(made).replace(b'"what stands here"', data)


def in_order(path, data):
    return lambda floor: lines(put(fleet.order_document(floor + 1), path, data))


def in_manifest(path, data):
    return lambda floor: manifest_order(floor + 1, put(NEXT.document, path, data))


def manifest(**changes):
    return lambda floor: manifest_order(floor + 1, {**NEXT.document, **changes})


def needs(**changes):
    return manifest(needs={**NEXT.document["needs"], **changes})


def without(field):
    kept = {name: value for name, value in NEXT.document["needs"].items() if name != field}
    return manifest(needs=kept)


def numbers():
    for name, data in NUMBERS:
        says = "manifest: "
        yield rejected("size: " + name, in_manifest("files.0.size", data), says)
        yield Case("sequence: " + name, in_order("seq", data), "fields: ")


def texts():
    for name, value in HASHES:
        says = "manifest: manifest.files[0].sha256"
        yield rejected("sha256: " + name, in_manifest("files.0.sha256", payload(value)), says)
        says = "fields: order.manifest"
        yield Case("order's sha256: " + name, in_order("manifest", payload(value)), says)
    for name, value in NAMES:
        says = "manifest: manifest.model"
        yield rejected("name: " + name, in_manifest("model", payload(value)), says)
        yield Case(
            "order's name: " + name, in_order("model", payload(value)), "fields: order.model"
        )
    for name, value in URLS:
        yield Case("url: " + name, in_order("urls", payload([value])), "fields: order.urls[0]")


def of_the_manifest():
    other = release(7, b"m", target="esp32")
    for name, make, says in (
        ("unknown runtime", needs(runtime="caffe"), "fit: runtime: needs caffe"),
        ("runtime in a newer version", needs(runtime="tflite>=99.0"), "fit: runtime: "),
        ("accelerator that is not there", needs(accelerator="edgetpu"), "fit: accelerator: "),
        ("needs more RAM than there is", needs(ram=2**31 - 1), "fit: ram: "),
        ("needs more flash than a device has", needs(flash=2**31 - 1), "fit: flash: "),
        ("needs that are negative", needs(ram=-1), "manifest: manifest.needs.ram"),
        ("needs without RAM", without("ram"), "manifest: manifest.needs.ram: missing"),
        ("needs without flash", without("flash"), "manifest: manifest.needs.flash: missing"),
        ("no needs", manifest(needs={}), "manifest: manifest.needs"),
        ("needs of 2^31", needs(ram=2**31), "manifest: manifest.needs.ram"),
        ("flash below its files", needs(flash=1), "manifest: manifest.needs.flash"),
        ("kernels that are no list", needs(kernels="ADD"), "manifest: manifest.needs.kernels"),
        ("no files", manifest(files=[]), "manifest: manifest.files"),
        ("two models", manifest(files=[NEXT.document["files"][0]] * 2), "manifest: manifest.files"),
        ("manifest of another fleet", manifest(fleet="other"), "manifest: it is for fleet other"),
        ("manifest of another model", manifest(model="words"), "manifest: it is for model words"),
        (
            "manifest for another board",
            lambda floor: order(floor + 1, other, target=fleet.TARGET),
            "manifest: it is for target esp32",
        ),
        ("release of 0", manifest(release=0), "manifest: manifest.release"),
        (
            "release below the root's minimum",
            lambda floor: order(floor + 1, fleet.TOO_OLD),
            "minimum: release 2 is below 3",
        ),
        (
            "unknown field",
            manifest(condition="at night"),
            "manifest: manifest.condition: an unknown",
        ),
        ("unknown field of needs", needs(npu=1), "manifest: manifest.needs.npu: an unknown"),
        ("newer format", manifest(v=3, condition=1), "manifest: manifest.v: 3 is a newer format"),
        ("format of 0", manifest(v=0), "manifest: manifest.v"),
        ("format that is true", manifest(v=True), "manifest: manifest.v"),
        ("manifest that is a list", lambda f: manifest_order(f + 1, b"[]"), "manifest: "),
        ("version that turns the text", manifest(version="v\u202e6"), "manifest: manifest.version"),
        ("version of 201 characters", manifest(version="v" * 201), "manifest: manifest.version"),
        (
            "extra in three levels",
            manifest(extra={"a": {"b": {"c": 1}}}),
            "manifest: manifest.extra",
        ),
        ("extra of 1,025 characters", manifest(extra=LONG), "manifest: manifest.extra"),
    ):
        yield rejected("manifest: " + name, make, says)


def never_seen(floor):
    """Orders of which each has 360 characters that none has had before: a board's interpreter may
    keep each character for good."""
    found = []
    for start in range(0x4E00, 0x4E00 + 10 * 360, 360):
        told = [chr(code) for code in range(start, start + 360)]
        texts = {f"n{at}": "".join(told[at : at + 120]) for at in range(0, 360, 120)}
        data = payload(fleet.order_document(floor - 1, extra=texts))
        found.append(lines(data))
    return found


LONG = {f"n{number}": "x" * 200 for number in range(6)}


def changed(**changes):
    return lambda floor: lines(payload({**fleet.order_document(floor + 1), **changes}))


def of_the_order():
    for name, make, says in (
        (
            "other fleet, same key",
            changed(fleet="other"),
            "addressed: the order is for fleet other",
        ),
        ("other board", changed(target="esp32"), "addressed: the order is for target esp32"),
        ("other model", changed(model="words"), "addressed: the order is for model words"),
        ("other slot", changed(slots=others()), "addressed: the order is not for slot"),
        ("other device", addressed_to("pi-2"), "addressed: the order is for device pi-2"),
        ("slots and a device", changed(device=fleet.DEVICE), "fields: order.slots"),
        ("neither slots nor a device", addressed_to(None), "fields: order.slots"),
        ("lower sequence", lambda floor: order(floor - 1), "sequence: order "),
        ("sequence of 1", lambda floor: order(1), "sequence: order 1 of epoch 1 is older"),
        ("equal sequence, other bytes", lambda floor: order(floor), "sequence: another order "),
        ("largest sequence", changed(seq=2**53 - 1), "sequence: order 9007199254740991 is more"),
        ("sequence of 0", lambda floor: order(0), "fields: order.seq"),
        ("epoch above the root's", changed(epoch=2), "sequence: the order is of epoch 2"),
        ("epoch below the root's", changed(epoch=0), "sequence: the order is of epoch 0"),
        ("expires before it is issued", changed(expires=ISSUED), "fields: order.expires"),
        (
            "unknown field",
            changed(condition="at night"),
            "fields: order.condition: an unknown field",
        ),
        (
            "unknown field of trial",
            changed(trial={"x": 1}),
            "fields: order.trial.x: an unknown field",
        ),
        (
            "unknown field with escapes",
            changed(**{"\x1b[2J": 1}),
            "fields: order.?: an unknown field",
        ),
        ("newer format", changed(v=3, condition=1), "fields: order.v: 3 is a newer format"),
        ("format of 0", changed(v=0), "fields: order.v"),
        ("no urls", changed(urls=[]), "fields: order.urls"),
        ("five urls", changed(urls=["http://files.test"] * 5), "fields: order.urls"),
        ("ranges of slots that fall", changed(slots=[[9, 1]]), "fields: order.slots"),
        ("slot of 1000", changed(slots=[[0, 1000]]), "fields: order.slots"),
        ("bitmap that is none", changed(v=2, slots="!" * 168), "fields: order.slots"),
        ("bitmap of no slot", changed(v=2, slots="A" * 167 + "="), "fields: order.slots"),
        (
            "trial of a year",
            changed(trial={"seconds": 2**25, "inferences": 0}),
            "fields: order.trial",
        ),
        (
            "extra that lifts a ban by a word",
            changed(extra={"lift_ban": "no"}),
            "fields: order.extra",
        ),
        ("extra of 1,025 characters", changed(extra=LONG), "fields: order.extra"),
        ("characters never seen before", never_seen, "sequence: order "),
        (
            "manifest that it does not name",
            lambda floor: order(floor + 1).split(b"\n")[0] + b"\n" + LIVE.envelope,
            "paired: the second line is not the manifest",
        ),
    ):
        yield Case("order: " + name, make, says)
    for name, make, says in (
        ("expired", changed(issued=ISSUED - 9, expires=ISSUED + 1), "time: the order expired"),
        ("not yet valid", changed(issued=ISSUED + 5000), "time: the order becomes valid in"),
        ("of the year 36812", changed(issued=2**40 - 1, expires=2**40), "time: the order becomes"),
        ("shadow without a budget", changed(shadow=True), "fit: shadow: "),
    ):
        yield rejected("order: " + name, make, says)


def others():
    """All slots but the device's own."""
    own = int(ORDER.rsplit("/", 1)[1])
    return [span for span in ([0, own - 1], [own + 1, 999]) if span[0] <= span[1]]


def addressed_to(device):
    def make(floor):
        document = fleet.order_document(floor + 1)
        del document["slots"]
        return lines(payload({**document, "device": device} if device else document))

    return make


CASES = [*numbers(), *texts(), *of_the_manifest(), *of_the_order()]
