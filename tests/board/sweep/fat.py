"""Which part of a FAT12 image a byte is in, and how much of it nothing refers to."""

import struct

DIRECTORY, LONG_NAME = 0x10, 0x0F  # in an entry's attributes
DELETED, END = 0xE5, 0
ENTRY_BYTES = 32
LAST_CLUSTER = 0xFF8


class Fat:
    """A file system as mkfs of MicroPython makes it on a small medium."""

    def __init__(self, data):
        self.data = data
        sector, per_cluster, reserved, tables, entries = struct.unpack_from("<HBHBH", data, 11)
        (sectors,) = struct.unpack_from("<H", data, 19)
        (table_sectors,) = struct.unpack_from("<H", data, 22)
        self.cluster_bytes = per_cluster * sector
        self.table = reserved * sector
        self.root = self.table + tables * table_sectors * sector
        self.contents = self.root + entries * ENTRY_BYTES
        self.clusters = (sectors * sector - self.contents) // self.cluster_bytes
        self.directories, self.used = set(), set()
        self._walk(data[self.root : self.contents])

    def area(self, at):
        """`boot`, `table`, `root` (directory), `directory` (below it) or `contents`."""
        if at < self.table:
            return "boot"
        if at < self.root:
            return "table"
        if at < self.contents:
            return "root"
        cluster = 2 + (at - self.contents) // self.cluster_bytes
        return "directory" if cluster in self.directories else "contents"

    def lost_bytes(self):
        """Of clusters that are taken and belong to no file."""
        taken = {number for number in range(2, 2 + self.clusters) if self._next(number)}
        return len(taken - self.used) * self.cluster_bytes

    def _walk(self, entries):
        for at in range(0, len(entries), ENTRY_BYTES):
            entry = entries[at : at + ENTRY_BYTES]
            if entry[0] == END:
                return
            if entry[0] in (DELETED, ord(".")) or entry[11] == LONG_NAME:
                continue
            chain = self._chain(struct.unpack_from("<H", entry, 26)[0])
            self.used.update(chain)
            if entry[11] & DIRECTORY:
                self.directories.update(chain)
                self._walk(b"".join(self._cluster(number) for number in chain))

    def _chain(self, number):
        chain = []
        while 2 <= number < LAST_CLUSTER and number not in chain:
            chain.append(number)
            number = self._next(number)
        return chain

    def _next(self, number):
        """The table's entry, 12 bits: the next cluster of a chain; 0: free."""
        (pair,) = struct.unpack_from("<H", self.data, self.table + number * 3 // 2)
        return pair >> 4 if number % 2 else pair & 0xFFF

    def _cluster(self, number):
        start = self.contents + (number - 2) * self.cluster_bytes
        return self.data[start : start + self.cluster_bytes]
