"""The log of commands that keep running, on stderr: lines of text, or JSON objects."""

import json
import logging
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType

from modelwave_controller.terminal import plain, plain_lines

_ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class TextLines(logging.Formatter):
    """The time with its offset, the level and the message, which cannot control a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S %z")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = plain(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: _ExcInfo) -> str:
        return plain_lines(super().formatException(ei))


class JsonLines(logging.Formatter):
    """An object a line: time, level, message, those of rollout, model, stage and device that it
    concerns, and the traceback of an error."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= getattr(record, "about", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def log_to_stderr(format: LogFormat = LogFormat.TEXT) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if format is LogFormat.JSON else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
