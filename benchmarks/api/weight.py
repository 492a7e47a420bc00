"""What a browser loads that sees a page for the first time: the page, and the files that it names.
Bytes on the wire, with the heads of the answers."""

import re
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urljoin

from benchmarks.api.known_service import known_service
from benchmarks.api.visitor import Visitor
from benchmarks.scale.row import Row

DEVICES = 2_000
GOAL_KILOBYTES = 150.0
PAGES = ("/login", "/", "/rollouts", "/rollouts/1", "/devices", "/devices/d7", "/log")
PARTS = re.compile(r'(?:src|href)="([^"]*static/[^"]+)"')


def rows(long: bool) -> Iterator[Row]:
    with (
        known_service(DEVICES, 1) as service,
        closing(Visitor(service.url, service.tokens[0])) as visitor,
    ):
        visitor.log_in()
        for path in PAGES:
            page = visitor.get(path)
            names = dict.fromkeys(PARTS.findall(page.body.decode()))
            parts = [visitor.get(urljoin(path, name)) for name in names]
            sizes = [one.head + len(one.body) for one in (page, *parts)]
            page_size, *part_sizes = (size / 1000 for size in sizes)
            detail = f"{page_size:.1f} KB, and {len(parts)} files of {sum(part_sizes):.1f} KB"
            yield Row(f"page {path}", sum(sizes) / 1000, GOAL_KILOBYTES, "KB", detail)
