"""Writes durations and counts in words."""


def span(seconds: float) -> str:
    """Returns a duration in its two largest units, rounded up: "45 s", "12 min", "3 h 20 min" or
    "2 d 4 h"."""
    left = max(0, -int(-seconds // 1))
    if left < 120:
        return f"{left} s"
    minutes = -(-left // 60)
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
