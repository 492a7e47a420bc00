"""What a program of the agent has printed."""


def last_line(output: bytes, most: int) -> str:
    """Returns the last line that is not blank, `most` characters of it; "" if there is none."""
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1][:most] if lines else ""
