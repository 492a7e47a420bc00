"""On MicroPython: runs a program whose code, and the agent's, stays in read-only memory.

    micropython from_rom.py IMAGE PROGRAM ARGUMENTS

IMAGE: a ROMFS that holds the module PROGRAM. A board has it in its flash, where code runs in
place; here it is a file mapped into memory."""

import sys


def mount(path):
    import os

    import ffi
    import uctypes
    import vfs

    libc = ffi.open("libc.so.6")
    size = os.stat(path)[6]
    file = libc.func("i", "open", "si")(path, 0)
    start = libc.func("p", "mmap", "pIiiii")(0, size, 1, 2, file, 0)  # to read, private
    image = uctypes.bytearray_at(start & 0xFFFFFFFF, size)
    vfs.mount(vfs.VfsRom(image), "/rom")


mount(sys.argv.pop(1))
sys.path.insert(0, "/rom")
__import__(sys.argv.pop(1))
