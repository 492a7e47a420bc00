"""The form of what is measured in a window, in metrics documents: histograms, classes, numbers.

latency     16 bins of the milliseconds of one inference. Bin 0 is below 0.25 ms. Bin k, 1 to 14, is
            from 0.25 * 2**(k - 1) ms to below twice that. Bin 15 is from 4096 ms on.
confidence  16 equal bins of 0 to 1. A value on an edge is in the bin above it, and 1 in the last.

In a document a histogram is a list: the number of its first bin that is not empty, then the counts
from that bin to the last one that is not empty.

Documents have no fractions. Numbers and logarithms are integers in millionths; a board measures
with floats of single precision, so about 6 of their digits are right. Means are sent, and not
sums: a mean has a bound, whatever the number of inferences.
"""

BINS = 16
FIRST_EDGE_MS = 0.25
LEAST_MS = 0.001  # a shorter time counts as this: 0 has no logarithm
MAX_MS = 10**9

MAX_METRICS_BYTES = 1024  # of a metrics document
MAX_CLASSES = 16  # the most frequent ones, by name
MAX_NUMBERS = 8
MAX_WORD = 16  # characters of the name of a class or number
WORD_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
MAX_NUMBER = 10**9  # of a number that a program measures; the least is the negative
MAX_LOG = 21 * 10**6  # above the logarithm of MAX_NUMBER and of MAX_MS, in millionths


def latency_bin(ms: float) -> int:
    found, edge = 0, FIRST_EDGE_MS
    while found < BINS - 1 and ms >= edge:
        found += 1
        edge *= 2
    return found


def confidence_bin(confidence: float) -> int:
    return min(BINS - 1, int(confidence * BINS))


def packed(counts: "list[int]") -> "list[int]":
    """Returns the document's form of a histogram that is not empty."""
    first, end = 0, len(counts)
    while not counts[first]:
        first += 1
    while not counts[end - 1]:
        end -= 1
    return [first] + counts[first:end]


def unpacked(histogram: "list[int]") -> "list[int]":
    """Returns the counts of all bins."""
    first, counts = histogram[0], histogram[1:]
    return [0] * first + counts + [0] * (BINS - first - len(counts))


def is_word(value: str) -> bool:
    """Whether `value` may be the name of a class or number."""
    return 1 <= len(value) <= MAX_WORD and not value.strip(WORD_LETTERS)
