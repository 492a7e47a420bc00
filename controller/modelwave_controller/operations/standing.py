"""Reads the releases of models beside each other, and where a release stands: whether it fits its
targets, on how many devices it runs, and what it is compared with. Only the manifests that are
shown are verified, and the database counts the devices."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection

from modelwave_controller.models.targets import Target, Targets
from modelwave_controller.releases import golden_words, heldout, ml_bom
from modelwave_controller.releases.catalog import Releases, StoredRelease
from modelwave_controller.releases.shown import shown
from modelwave_controller.results.models import (
    NO,
    UNKNOWN,
    YES,
    ComparedMetric,
    ModelReleases,
    ReleaseLine,
    Room,
    Standing,
)
from modelwave_controller.storage import live

OLDER_LOOKED_AT = 20  # for the one before a release for its target


def of_models(connection: Connection, releases: Releases, lines: int) -> list[ModelReleases]:
    """Returns all models of the home, each with its newest releases."""
    run = live.by_manifest(connection)
    return [
        _model(releases, model, releases.numbers(model), lines, run) for model in releases.models()
    ]


def of_model(
    connection: Connection, releases: Releases, model: str, before: int | None, lines: int
) -> ModelReleases:
    """Returns the releases of one model, those below the number `before`. Raises NotFoundError."""
    return _model(
        releases,
        model,
        releases.numbers(model),
        lines,
        live.by_manifest(connection, model),
        before,
    )


def _model(
    releases: Releases,
    model: str,
    numbers: Sequence[int],
    lines: int,
    run: Mapping[str, int],
    before: int | None = None,
) -> ModelReleases:
    below = [number for number in numbers if before is None or number < before]
    found = (releases.numbered(model, number) for number in below[:lines])
    newest = [_line(one, run) for one in found if one]
    return ModelReleases(model, len(numbers), newest, len(below) > lines)


def _line(found: Mapping[str, StoredRelease], run: Mapping[str, int]) -> ReleaseLine:
    first, every = next(iter(found.values())), found.values()
    return ReleaseLine(
        first.manifest.release,
        first.manifest.version,
        list(found),
        shown(first).held_out,
        next((one.manifest.forced for one in every if one.manifest.forced), ""),
        next((one.trouble for one in every if one.trouble), ""),
        sum(run.get(digest, 0) for digest in {one.digest for one in every}),
    )


def of_release(
    connection: Connection, releases: Releases, found: Mapping[str, StoredRelease]
) -> list[Standing]:
    """Returns where a release stands, for each of its targets."""
    if not found:
        return []
    model = next(iter(found.values())).manifest.model
    run = live.by_target(connection, model, [one.digest for one in found.values()])
    report = live.reporting_it(connection, model)
    targets = Targets(releases.home.targets).all()
    return [
        _standing(
            releases,
            one,
            targets.get(target),
            run.get((target, one.digest), 0),
            report.get(target, 0),
        )
        for target, one in found.items()
    ]


def _standing(
    releases: Releases, stored: StoredRelease, target: Target | None, devices: int, of: int
) -> Standing:
    manifest, root = stored.manifest, releases.root
    flash = Room(manifest.needs.flash, target.free_flash_bytes if target else None)
    ram = Room(manifest.needs.ram, target.free_ram_bytes if target else None)
    missing = list(_missing(flash, ram))
    base = _base(releases, stored)
    golden = next(file.sha256 for file in manifest.files if file.role == "golden")
    return Standing(
        target=manifest.target,
        sha256=stored.digest,
        description=target.description if target else "",
        flash=flash,
        ram=ram,
        fits=UNKNOWN if target is None else NO if missing else YES,
        missing=missing,
        devices=devices,
        of=of,
        golden=golden_words.told(stored.document, releases.file_path(golden)),
        base=base.manifest.release if base else 0,
        compared=_compared(stored, base) if base else [],
        signers=ml_bom.signers(stored, root),
    )


def _missing(flash: Room, ram: Room) -> Iterator[str]:
    for name, room in (("flash", flash), ("RAM", ram)):
        if room.has is not None and room.needs > room.has:
            yield f"{name}: {room.needs - room.has:,} bytes missing"


def _base(releases: Releases, stored: StoredRelease) -> StoredRelease | None:
    """Returns the release for the same target with the next lower number."""
    manifest = stored.manifest
    older = [n for n in releases.numbers(manifest.model) if n < manifest.release]
    for number in older[:OLDER_LOOKED_AT]:
        if found := releases.numbered(manifest.model, number).get(manifest.target):
            return found
    return None


def _compared(new: StoredRelease, old: StoredRelease) -> list[ComparedMetric]:
    both = [heldout.shares(one.manifest.lineage.metrics) for one in (new, old)]
    return [
        ComparedMetric(one.name, one.difference, one.least, one.most, one.worse)
        for one in heldout.compare(*both)
    ]
