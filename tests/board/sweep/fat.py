"""Which part of a FAT image a byte is in."""

import struct

DIRECTORY = 0x10  # bit of an entry's attributes
ENTRY_BYTES = 32


def area(image, at):
    """`boot`, `table`, `root directory`, `directory` (a folder in the root) or `contents`."""
    data = image.read_bytes()
    sector, per_cluster, reserved, tables, entries = struct.unpack_from("<HBHBH", data, 11)
    (table_sectors,) = struct.unpack_from("<H", data, 22)
    root = (reserved + tables * table_sectors) * sector
    first = root + entries * ENTRY_BYTES
    if at < reserved * sector:
        return "boot"
    if at < root:
        return "table"
    if at < first:
        return "root directory"
    cluster = 2 + (at - first) // (per_cluster * sector)
    for entry in range(root, first, ENTRY_BYTES):
        if data[entry + 11] == DIRECTORY and struct.unpack_from("<H", data, entry + 26)[0] == cluster:
            return "directory"
    return "contents"
