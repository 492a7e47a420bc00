"""What the core's tests share; like them it runs on CPython and on MicroPython."""


def refused(error, function, *arguments):
    """The message with which `function` raises `error`."""
    try:
        found = function(*arguments)
    except error as raised:
        return str(raised)
    raise AssertionError(f"not refused: {arguments!r} gave {found!r}")
