"""Finds out what an agent will say that it is, without running it."""

import re

from modelwave_shared.version import described


def version_in(source: str) -> str:
    """Returns the version, with its commit, that the text of a `modelwave_shared/version.py` says;
    "" if it says none."""
    said = dict(re.findall(r'^(VERSION|COMMIT) = "([!-~]{0,80})"$', source, re.M))
    if not said.get("VERSION"):
        return ""
    return described(said.get("COMMIT", "")).replace(described(""), said["VERSION"], 1)
