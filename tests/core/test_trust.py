"""Tests which roles must sign a document under a root, with envelopes from real keys."""

from modelwave_shared import documents, dsse
from modelwave_shared.errors import DocumentError, EnvelopeError, NewerFormatError
from modelwave_shared.words import HEARTBEAT, MANIFEST, ORDER, ROOT
from tests.core import signed
from tests.core.helpers import refused


def the_root():
    return documents.open_first_root(signed.ROOT)


def opened(kind, data, root=None):
    return documents.open_signed(kind, dsse.read(data), root or the_root())


def with_signatures(data, choose):
    """The envelope with other signatures, which `choose` makes of its own."""
    envelope = dsse.read(data)
    return dsse.write(envelope.kind, envelope.payload, choose(envelope.signatures))


def test_documents_open_under_their_roles():
    assert opened(ORDER, signed.ORDER)["seq"] == 7
    assert opened(MANIFEST, signed.MANIFEST)["release"] == 3
    assert opened(ROOT, signed.ROOT) == the_root()


def test_order_names_the_payload_of_the_manifest():
    assert opened(ORDER, signed.ORDER)["manifest"] == dsse.read(signed.MANIFEST).digest()


def test_manifest_signed_by_the_online_key_is_refused():
    assert "0 of the 1" in refused(EnvelopeError, opened, MANIFEST, signed.MANIFEST_BY_ORDER_KEY)


def test_order_signed_by_another_fleets_key_is_refused():
    refused(EnvelopeError, opened, ORDER, signed.ORDER_BY_STRANGER)


def test_order_signed_by_a_revoked_key_is_refused():
    root = the_root()
    root["roles"]["order"]["keyids"] = root["roles"]["release"]["keyids"]
    refused(EnvelopeError, opened, ORDER, signed.ORDER, root)


def test_a_document_where_another_kind_belongs_is_refused():
    envelopes = {
        "a root": signed.ROOT,
        "a manifest": signed.MANIFEST,
        "an order": signed.ORDER,
        "a heartbeat": signed.HEARTBEAT,
    }
    for kind in (ROOT, MANIFEST, ORDER, HEARTBEAT):
        wanted = ("an " if kind == ORDER else "a ") + kind
        for given in envelopes:
            if given != wanted:
                message = refused(EnvelopeError, opened, kind, envelopes[given])
                assert message == "%s instead of %s" % (given, wanted)


def test_a_document_under_the_type_of_another_is_refused():
    order = dsse.read(signed.ORDER)
    for kind in (ROOT, MANIFEST, HEARTBEAT):
        relabelled = dsse.write(kind, order.payload, order.signatures)
        refused(EnvelopeError, opened, kind, relabelled)


def test_a_stranger_kind_is_not_repeated_in_the_message():
    odd = dsse.write("heartbeatx", b"{}", dsse.read(signed.TINY).signatures)
    assert refused(EnvelopeError, opened, ORDER, odd) == "a stranger instead of an order"


def test_unknown_field_is_refused_even_when_well_signed():
    message = refused(DocumentError, opened, ORDER, signed.ORDER_UNKNOWN_FIELD)
    assert message == "order.condition: an unknown field; order v 2 is read here"


def test_order_of_a_newer_format_is_refused_for_that_even_when_well_signed():
    message = refused(NewerFormatError, opened, ORDER, signed.ORDER_NEXT_FORMAT)
    assert message == "order.v: 3 is a newer format; order v 2 is read here"


def test_extra_is_covered_by_the_signature():
    envelope = dsse.read(signed.ORDER_WITH_EXTRA)
    assert opened(ORDER, signed.ORDER_WITH_EXTRA)["extra"] == {"site": "north"}
    changed = envelope.payload.replace(b"north", b"south")
    assert changed != envelope.payload
    refused(EnvelopeError, opened, ORDER, dsse.write(ORDER, changed, envelope.signatures))


def test_signature_is_looked_at_before_the_payload_is_parsed():
    garbage = dsse.write(ORDER, b"[" * 2000, dsse.read(signed.ORDER).signatures)
    refused(EnvelopeError, opened, ORDER, garbage)


def test_first_root_one_signature_short_is_refused():
    one = with_signatures(signed.ROOT, lambda signatures: signatures[:1])
    assert "1 of the 2" in refused(EnvelopeError, documents.open_first_root, one)


def test_first_root_with_one_signature_twice_is_refused():
    twice = with_signatures(signed.ROOT, lambda signatures: signatures[:1] * 2)
    assert "1 of the 2" in refused(EnvelopeError, documents.open_first_root, twice)


def test_first_root_with_one_signature_under_two_ids_is_refused():
    def both_ids(signatures):
        return [(keyid, signatures[0][1]) for keyid, _ in signatures]

    disguised = with_signatures(signed.ROOT, both_ids)
    assert "1 of the 2" in refused(EnvelopeError, documents.open_first_root, disguised)


def test_first_root_that_is_no_root_is_refused():
    for data in (signed.ORDER, signed.MANIFEST):
        refused(EnvelopeError, documents.open_first_root, data)


def test_first_root_whose_payload_is_another_is_refused():
    root = dsse.read(signed.ROOT)
    changed = root.payload.replace(b'"epoch":0', b'"epoch":1')
    assert changed != root.payload
    refused(EnvelopeError, documents.open_first_root, dsse.write(ROOT, changed, root.signatures))


def test_next_root_is_taken_and_no_other():
    root = the_root()
    second = documents.open_next_root(signed.SECOND_ROOT, root)
    assert (second["version"], second["epoch"]) == (2, 1)
    assert documents.open_next_root(signed.THIRD_ROOT, second)["version"] == 3
    told = refused(DocumentError, documents.open_next_root, signed.THIRD_ROOT, root)
    assert told == "root.version: 3, the next one is 2"
    told = refused(DocumentError, documents.open_next_root, signed.SECOND_ROOT, second)
    assert told == "root.version: 2, the next one is 3"


def test_next_root_needs_the_signatures_of_both():
    told = refused(EnvelopeError, documents.open_next_root, signed.SECOND_ROOT_BY_ONE, the_root())
    assert "1 of the 2" in told
    others = the_root()
    role = others["roles"]["root"]
    role["keyids"] = [dsse.keyid(signed.ORDER_KEY)]  # an older root with other keys
    role["threshold"] = 1
    told = refused(EnvelopeError, documents.open_next_root, signed.SECOND_ROOT, others)
    assert "0 of the 1" in told


def test_next_root_of_an_older_epoch_or_another_fleet_is_refused():
    newer = the_root()
    newer["epoch"] = 2
    told = refused(DocumentError, documents.open_next_root, signed.SECOND_ROOT, newer)
    assert told == "root.epoch: 1, it was 2 already"
    other = the_root()
    other["fleet"] = "other"
    told = refused(DocumentError, documents.open_next_root, signed.SECOND_ROOT, other)
    assert told == "root.fleet: demo, not other"
