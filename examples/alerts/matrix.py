#!/usr/bin/env python3
"""Sends an alert of modelwave into a Matrix room. The alert is on standard input.

    matrix.py https://matrix.example '!room:matrix.example' FILE

FILE holds the access token of a user who is in the room: mode 0600. The alert's id is the
transaction's: a message that comes again with the same id is shown once.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path
from urllib.parse import quote


def main() -> None:
    server, room, file = sys.argv[1:4]
    token = Path(file).read_text().strip()
    data = json.load(sys.stdin)["data"]
    text = data["text"] + (f"\n{data['url']}" if data["url"] else "")
    body = json.dumps({"msgtype": "m.text", "body": text}).encode()
    transaction = quote(os.environ["MODELWAVE_ALERT_ID"], safe="")
    path = f"/_matrix/client/v3/rooms/{quote(room, safe='')}/send/m.room.message/{transaction}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(server.rstrip("/") + path, body, headers, method="PUT")
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except OSError as error:
        sys.exit(f"Matrix did not take it: {error}")


if __name__ == "__main__":
    main()
