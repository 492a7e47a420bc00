"""Counts the devices that run releases, by the manifest that they report. The database counts."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from modelwave_controller.storage.tables import device_models, devices, reporting


def by_manifest(connection: Connection, model: str | None = None) -> dict[str, int]:
    """Returns {sha256 of a manifest: devices} of one model or of all."""
    its = device_models.c
    query = (
        select(its.sha256, func.count().label("devices"))
        .where(its.sha256 != "")
        .group_by(its.sha256)
    )
    if model is not None:
        query = query.where(its.model == model)
    return {row.sha256: row.devices for row in connection.execute(query)}


def by_target(
    connection: Connection, model: str, manifests: Sequence[str]
) -> dict[tuple[str, str], int]:
    """Returns {(target, sha256 of a manifest): devices} of these manifests of the model."""
    its = device_models.c
    query = (
        select(devices.c.target, its.sha256, func.count())
        .join_from(device_models, devices, devices.c.device == its.device)
        .where(its.model == model, its.sha256.in_(manifests))
        .group_by(devices.c.target, its.sha256)
    )
    return {(target, manifest): number for target, manifest, number in connection.execute(query)}


def reporting_it(connection: Connection, model: str) -> dict[str, int]:
    """Returns {target: devices that report the model}, from the counters."""
    its = reporting.c
    query = select(its.target, func.sum(its.devices)).where(its.model == model)
    return {
        target: int(number) for target, number in connection.execute(query.group_by(its.target))
    }
