"""Logs on standard error: lines for people or JSON for machines, without secrets in either."""

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final

from clients.process import request_id as request_ids
from clients.process.exits import ConfigurationError
from clients.process.redact import MASK, names_secret, redact

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("console", "json")

# Libraries that tell at INFO or DEBUG what nobody but their authors wants to know.
# botocore's lines also hold what AWS answered, tokens included.
_CHATTY = (
    "aiobotocore",
    "aiohttp.access",
    "aiosqlite",
    "alembic",
    "asyncio",
    "botocore",
    "sqlalchemy.engine",
    "tornado.access",
)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(level: str = "info", format: str = "console") -> None:
    """Send what the process logs to standard error, at this level and above.

    `level` is one of LEVELS, `format` one of FORMATS, both without regard to case; raises
    ConfigurationError otherwise. Fields given with `extra=`, and the id of the request that is being
    answered (`request_id`), are part of the line. Replaces what was
    set up before; warnings of Python are logged, cancellations are not.
    """
    if level.lower() not in LEVELS:
        raise ConfigurationError(f"PENSTOCK_LOG_LEVEL is {level!r}: give one of {', '.join(LEVELS)}.")
    if format.lower() not in FORMATS:
        raise ConfigurationError(f"PENSTOCK_LOG_FORMAT is {format!r}: give one of {', '.join(FORMATS)}.")
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_no_cancellation)
    handler.addFilter(_is_no_handshake)
    handler.setFormatter(JsonFormatter() if format.lower() == "json" else ConsoleFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
    logging.captureWarnings(capture=True)


def _is_no_cancellation(record: logging.LogRecord) -> bool:
    # A database pool tells of every task that was cancelled in a transaction, as at a stop; it is rolled
    # back, and nothing is wrong.
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _is_no_handshake(record: logging.LogRecord) -> bool:
    # Tornado warns of every stranger who does not speak TLS as it is spoken here: any number, and no fault.
    told = record.name == "tornado.general" and str(record.msg).startswith("SSL Error on ")
    return not told or logging.getLogger().isEnabledFor(logging.DEBUG)


class ConsoleFormatter(logging.Formatter):
    """`<time> <LEVEL> <logger> <message> key=value`, one line, with tracebacks below it."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, and the traceback below it."""
        extra = "".join(f" {key}={value}" for key, value in _fields(record).items())
        text = redact(record.getMessage()) + extra
        # It may quote what a stranger sent, which must not start a line of its own or command a terminal.
        line = f"{_time(record)} {record.levelname:<7} {record.name} {_harmless(text)}"
        # So may an exception, whose lines stay lines.
        problem = "\n".join(map(_harmless, _problem(self, record).split("\n")))
        return f"{line}\n{problem}" if problem else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the extra fields, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the object, on one line."""
        entry = {
            **_fields(record),
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact(record.getMessage()),
        }
        problem = _problem(self, record)
        if problem:
            entry["exception"] = problem
        return json.dumps(entry, ensure_ascii=False)


def _harmless(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, object]:
    fields = {key: _value(key, value) for key, value in vars(record).items() if key not in _STANDARD}
    if request_id := request_ids.current():
        fields["request_id"] = request_id
    return fields


def _value(key: str, value: object) -> object:
    if names_secret(key):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def _problem(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return redact("\n".join(parts))
