#!/usr/bin/env python3
"""Posts an alert of modelwave to a Slack incoming webhook. The alert is on standard input.

slack.py FILE     FILE holds the webhook's URL, which is its secret: mode 0600
"""

import json
import sys
import urllib.request
from pathlib import Path

ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}  # else a text could call everybody


def main() -> None:
    url = Path(sys.argv[1]).read_text().strip()
    data = json.load(sys.stdin)["data"]
    text = "".join(ESCAPES.get(c, c) for c in data["text"])
    if data["url"]:
        text += f"\n<{data['url']}>"
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except OSError as error:
        sys.exit(f"Slack did not take it: {error}")  # the error has no URL


if __name__ == "__main__":
    main()
