"""Writes shares, milliseconds and counts of what devices observed, for people."""

from modelwave_shared.window_format import BINS, FIRST_EDGE_MS

LAST_EDGE_MS = FIRST_EDGE_MS * 2 ** (BINS - 2)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.4g} %"


def milliseconds(ms: float | None) -> str:
    if ms is None:
        return "–"
    if ms >= LAST_EDGE_MS:
        return f"{ms:,.0f} ms or more"
    return f"{ms:,.0f} ms" if ms >= 100 else f"{ms:.3g} ms"


def number(count: int) -> str:
    return f"{count:,}"
