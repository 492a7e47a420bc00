"""Makes a machine-learning bill of materials of a release, in the form of CycloneDX 1.6 (ECMA-424).

It says what the signed manifest says, and nothing else:

    metadata.component   the model: its file's hash, the card with data set and held-out metrics
    components           the other files by sha256, the data set and the runtime that it needs
    properties           of the model, named modelwave:…: the manifest's sha256, the ids of the keys
                         that signed it, the target, what it needs, how its golden set is judged

Places of files are relative to the home folder. Its serial number follows from the manifest, so
that each bill of one release has the same.
"""

import json
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from modelwave_controller.judge import proportions
from modelwave_controller.releases import heldout, latency_limit, model_signature
from modelwave_controller.releases.bundles import Signed
from modelwave_controller.trust import roots
from modelwave_shared import dsse
from modelwave_shared.limits import MILLION
from modelwave_shared.words import MANIFEST

Json = dict[str, Any]

SCHEMA = "http://cyclonedx.org/schema/bom-1.6.schema.json"
_NAMES = {"model": "model", "golden": "golden set", "labels": "names of the classes"}
_DATASET, _RUNTIME, _SIGNATURE = "dataset", "runtime", "model-signature"


def bill(stored: Signed, root: Json, program: str, now: float) -> Json:
    """Returns the bill of a release that was verified under `root`. `program`: the version of this
    program; `now`: in Unix seconds."""
    model, others = _model(stored, root), _others(stored)
    return {
        "$schema": SCHEMA,
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, 'sha256:' + stored.digest)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z"),
            "tools": {
                "components": [{"type": "application", "name": "modelwave", "version": program}]
            },
            "component": model,
        },
        "components": others,
        "dependencies": [
            {"ref": model["bom-ref"], "dependsOn": [other["bom-ref"] for other in others]},
            *({"ref": other["bom-ref"]} for other in others),
        ],
    }


def signers(stored: Signed, root: Json) -> list[str]:
    """Returns the ids of the release keys of `root` that have signed the manifest."""
    envelope = dsse.read(stored.envelope)
    return sorted(roots.counting(root, MANIFEST, envelope.payload, envelope.signatures))


def _model(stored: Signed, root: Json) -> Json:
    manifest = stored.manifest
    place = f"{manifest.model}/{manifest.release}/{manifest.target}"
    file = next(file for file in manifest.files if file.role == "model")
    return {
        "type": "machine-learning-model",
        "bom-ref": f"release/{place}",
        "group": manifest.fleet,
        "name": manifest.model,
        "version": manifest.version,
        "description": f"release {manifest.release} for {manifest.target}",
        "hashes": _sha256(file.sha256),
        "externalReferences": [
            {
                "type": "attestation",
                "url": f"releases/{place}.json",
                "comment": "the signed manifest, a DSSE envelope; the hash is that of its payload",
                "hashes": _sha256(stored.digest),
            },
            *_signature_reference(stored),
        ],
        "modelCard": _card(stored),
        "properties": _properties(_facts(stored, root)),
    }


def _card(stored: Signed) -> Json:
    lineage = stored.manifest.lineage
    held_out = [
        {
            "type": name,
            "value": f"{share.value:.6f}",
            "slice": f"{share.n} held-out examples",
            "confidenceInterval": _interval(share),
        }
        for name, share in heldout.shares(lineage.metrics).items()
    ]
    others = [
        {"type": name, "value": str(value)}
        for name, value in heldout.others(lineage.metrics).items()
    ]
    return {
        "modelParameters": {"datasets": [{"ref": _DATASET}]},
        "quantitativeAnalysis": {"performanceMetrics": held_out + others},
        "properties": _properties([("quantisation", lineage.quantisation)]),
    }


def _interval(share: heldout.Share) -> Json:
    """Returns the interval of 95 % of a metric."""
    found = proportions.wilson(share.value, share.n)
    return {"lowerBound": f"{found.least:.6f}", "upperBound": f"{found.most:.6f}"}


def _facts(stored: Signed, root: Json) -> list[tuple[str, object]]:
    manifest, needs = stored.manifest, stored.manifest.needs
    return [
        ("fleet", manifest.fleet),
        ("release", manifest.release),
        ("target", manifest.target),
        ("format", stored.document["format"]),
        ("manifest:sha256", stored.digest),
        *(("manifest:keyid", keyid) for keyid in signers(stored, root)),
        ("needs:flash", needs.flash),
        ("needs:ram", needs.ram),
        ("needs:runtime", needs.runtime),
        *(("needs:accelerator", name) for name in (needs.accelerator,) if name),
        *(("needs:kernel", kernel) for kernel in needs.kernels),
        ("golden:tolerance", json.dumps(manifest.tolerance, sort_keys=True)),
        *(("forced", reason) for reason in (manifest.forced,) if reason),
        *_limit(stored),
    ]


def _limit(stored: Signed) -> list[tuple[str, object]]:
    limit_us = latency_limit.of_manifest(stored.document)
    return [("latency-limit-ms", 1000 * limit_us / MILLION)] if limit_us else []


def _others(stored: Signed) -> list[Json]:
    manifest = stored.manifest
    files = [
        _file(file.role, _NAMES[file.role], file.sha256, file.size)
        for file in manifest.files
        if file.role != "model"
    ]
    runtime, dataset = manifest.needs.runtime, manifest.lineage.dataset or "not named"
    return [
        *files,
        *_signature_file(stored),
        {
            "type": "data",
            "bom-ref": _DATASET,
            "name": dataset,
            "data": [{"type": "dataset", "name": dataset}],
        },
        {
            "type": "framework",
            "bom-ref": _RUNTIME,
            "name": runtime.partition(">")[0],
            "description": runtime,
            "scope": "required",
        },
    ]


def _file(ref: str, name: str, sha256: str, size: int) -> Json:
    return {
        "type": "file",
        "bom-ref": ref,
        "name": name,
        "hashes": _sha256(sha256),
        "externalReferences": [{"type": "distribution", "url": f"files/{sha256}"}],
        "properties": _properties([("role", ref), ("size", size)]),
    }


def _signature_file(stored: Signed) -> list[Json]:
    found = model_signature.of_manifest(stored.document)
    if found is None:
        return []
    made = _file(_SIGNATURE, "OpenSSF signature of the model", found.sha256, found.size)
    made["properties"] += _properties([("signer", found.signer)])
    return [made]


def _signature_reference(stored: Signed) -> list[Json]:
    found = model_signature.of_manifest(stored.document)
    if found is None:
        return []
    place, hashes = f"files/{found.sha256}", _sha256(found.sha256)
    return [{"type": "digital-signature", "url": place, "hashes": hashes}]


def _sha256(digest: str) -> list[Json]:
    return [{"alg": "SHA-256", "content": digest}]


def _properties(facts: Iterable[tuple[str, object]]) -> list[Json]:
    return [{"name": f"modelwave:{name}", "value": str(value)} for name, value in facts]
