"""The arena of SingleArenaBufferAllocator (arena_allocator/single_arena_buffer_allocator.cc),
with an end that gives way: where TFLM would fail, this one notes how large it must be.

    | head ......... temporaries .....            ..... tail |
      0                                                  end

The head is one buffer that is resized, first for the scratch requests, in the end for the
planned tensors. Temporaries follow it and are given back all at once. What lasts is laid
down from the end.

TFLM tests a temporary against the tail, but what lasts against the head only. So in too small
an arena a kernel can overwrite its own temporaries, upon which AllocateTensors fails for some
other reason, or crashes, or by luck does not. Here what lasts must not reach a temporary, but
for the last bytes of it that nobody reads again."""

ALIGNMENT = 16  # of buffers, and of the arena itself (MicroArenaBufferAlignment)


def align(size: int, alignment: int = ALIGNMENT) -> int:
    return -(-size // alignment) * alignment


class Arena:
    """All in bytes; `tail` counts from the end, the rest from the beginning. `need` is the
    largest size that was needed so far, `busy` where the temporaries end that are still read."""

    def __init__(self) -> None:
        self.head = self.temporaries = self.busy = self.tail = self.need = 0

    def persistent(self, size: int, alignment: int = ALIGNMENT) -> None:
        self.tail = align(self.tail + size, alignment)
        self._require(self.busy)

    def temporary(self, size: int, alignment: int) -> None:
        self.temporaries = self.busy = align(self.temporaries, alignment) + size
        self._require(self.temporaries)

    def idle(self, size: int) -> None:
        """The last `size` bytes of the temporaries are not read again."""
        self.busy = self.temporaries - size

    def release_temporaries(self) -> None:
        self.temporaries = self.busy = self.head

    def resize_head(self, size: int) -> None:
        self.head = self.temporaries = self.busy = size
        self._require(self.head)

    def _require(self, front: int) -> None:
        self.need = max(self.need, front + self.tail)
