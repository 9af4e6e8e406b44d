"""Logs: lines for people, JSON for machines, secrets in neither."""

import asyncio
import json
import logging
import warnings

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from clients.control.token import TokenKind, new_token
from clients.process import log
from clients.process.exits import ConfigurationError
from tests.servers.certificates import Authority

TOKEN = new_token(TokenKind.USER)


@pytest.fixture(autouse=True)
def restored():
    """Logging is as it was before, after each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def fail() -> None:
    """Raise an error with a token in it."""
    raise ValueError(f"cannot use {TOKEN}")


def test_lines_for_people(capsys):
    """Time, level, logger, message and fields, on standard error."""
    log.configure("info", "console")
    logging.getLogger("penstock.test").info("synced %s", "acme/redis", extra={"tags": 12})
    captured = capsys.readouterr()
    assert captured.out == ""
    time, rest = captured.err.split(" ", 1)
    assert time.endswith("Z")
    assert rest == "INFO    penstock.test synced acme/redis tags=12\n"


def test_json_for_machines(capsys):
    """One object a line, with the same and the type of each field."""
    log.configure("INFO", "JSON")
    logging.getLogger("penstock.test").warning(
        "synced\n%s", "ä", extra={"tags": 12, "artifact": "acme/redis"}
    )
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "warning",
        "logger": "penstock.test",
        "message": "synced\nä",
        "tags": 12,
        "artifact": "acme/redis",
    }


def test_a_traceback_commands_no_terminal(capsys):
    """An exception may quote a stranger as well: its lines stay lines, other control characters are text."""
    log.configure("info", "console")
    try:
        raise ValueError("sent \x1b[31m\rforged\nmore")
    except ValueError:
        logging.getLogger("penstock.test").exception("it failed")
    err = capsys.readouterr().err
    assert "ValueError: sent \\x1b[31m\\rforged\nmore\n" in err
    assert "\x1b" not in err
    assert "\r" not in err


@pytest.mark.parametrize("format", log.FORMATS)
def test_no_secret_in_any_part(capsys, format):
    """Message, arguments, fields, tracebacks."""
    log.configure("info", format)
    logger = logging.getLogger("penstock.test")
    logger.info(
        "got %s", TOKEN, extra={"sent": f"Bearer {TOKEN}", "password": "hunter2", "headers": {"a": TOKEN}}
    )
    try:
        fail()
    except ValueError:
        logger.exception("it failed")
    err = capsys.readouterr().err
    assert TOKEN not in err
    assert TOKEN[4:] not in err
    assert "hunter2" not in err
    assert "ValueError: cannot use pst_[redacted]" in err


def test_a_stranger_cannot_forge_a_line(capsys):
    """Line ends and escape sequences in what was sent are written out."""
    log.configure()
    logging.getLogger("penstock.test").info(
        "asked for %s", "x\n2026 INFO forged\x1b[31m", extra={"agent": "a\nb"}
    )
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "\x1b" not in err
    assert "\\n2026" in err


def test_the_level(capsys):
    """What is below it is not written, and libraries that chatter are quiet."""
    log.configure("info")
    logging.getLogger("penstock.test").debug("no")
    logging.getLogger("aiosqlite").info("no")
    assert capsys.readouterr().err == ""


def test_twice_is_once(capsys):
    """Configured again, each line is written once."""
    log.configure()
    log.configure()
    logging.getLogger("penstock.test").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_warnings_are_logged(capsys):
    """Python's own go the same way."""
    log.configure()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("beware", stacklevel=1)
        logging.captureWarnings(capture=False)
    assert "py.warnings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("level", "format", "setting"),
    [("loud", "console", "PENSTOCK_LOG_LEVEL"), ("info", "xml", "PENSTOCK_LOG_FORMAT")],
)
def test_what_does_not_exist(level, format, setting):
    """Names the setting and what it may be."""
    with pytest.raises(ConfigurationError, match=setting):
        log.configure(level, format)


def test_a_cancellation_is_not_reported(capsys):
    """Stopping in the middle of something is no error; other errors beside it still are."""
    log.configure("info", "console")
    for error in (asyncio.CancelledError(), OSError("gone")):
        try:
            raise error
        except (asyncio.CancelledError, OSError):
            logging.getLogger("penstock.test").exception("resetting failed")
    captured = capsys.readouterr().err
    assert captured.count("resetting failed") == 1
    assert "OSError: gone" in captured


@pytest.mark.parametrize(("level", "told"), [("info", 0), ("debug", 1)])
async def test_who_fails_to_speak_tls_is_not_told(level, told, capsys, tmp_path):
    """Anybody can do so as often as they like; who looks for it is shown it at `debug`."""
    log.configure(level)
    server = HTTPServer(
        lambda _request: None, ssl_options=Authority().issue(tmp_path, "127.0.0.1").server_context()
    )
    listeners = bind_sockets(0, "127.0.0.1")
    server.add_sockets(listeners)
    reader, writer = await asyncio.open_connection(*listeners[0].getsockname())
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ConnectionError):
        await reader.readexactly(1000)
    writer.close()
    server.stop()
    await server.close_all_connections()
    assert capsys.readouterr().err.count("SSL Error") == told
