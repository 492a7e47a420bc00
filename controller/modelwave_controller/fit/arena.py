"""Models the arena of SingleArenaBufferAllocator (single_arena_buffer_allocator.cc), but
without a fixed size: where TFLM would fail, this one records how large the arena must be.

    | head ......... temporaries .....            ..... tail |
      0                                                  end

The head is one buffer that is resized: first it holds the scratch requests, in the end the
planned tensors. Temporaries follow it and are released all at once. Persistent buffers are
allocated from the end downwards.

TFLM checks a temporary against the tail, but a persistent buffer against the head only. So in
an arena that is too small a kernel can overwrite its own temporaries, and AllocateTensors then
fails for some other reason, crashes, or works by luck. Here a persistent buffer must not reach
into a temporary, except into its last bytes that are not read again."""

ALIGNMENT = 16  # of buffers, and of the arena itself (MicroArenaBufferAlignment)


def align(size: int, alignment: int = ALIGNMENT) -> int:
    return -(-size // alignment) * alignment


class Arena:
    """The state of the arena, in bytes; `tail` counts from the end, the rest from the beginning.
    `need` is the largest size needed so far, `busy` the end of the temporaries that are still
    read."""

    def __init__(self) -> None:
        self.head = self.temporaries = self.busy = self.tail = self.need = 0

    def persistent(self, size: int, alignment: int = ALIGNMENT) -> None:
        self.tail = align(self.tail + size, alignment)
        self._require(self.busy)

    def temporary(self, size: int, alignment: int) -> None:
        self.temporaries = self.busy = align(self.temporaries, alignment) + size
        self._require(self.temporaries)

    def idle(self, size: int) -> None:
        """Marks the last `size` bytes of the temporaries as not read again."""
        self.busy = self.temporaries - size

    def release_temporaries(self) -> None:
        self.temporaries = self.busy = self.head

    def resize_head(self, size: int) -> None:
        self.head = self.temporaries = self.busy = size
        self._require(self.head)

    def _require(self, front: int) -> None:
        self.need = max(self.need, front + self.tail)
