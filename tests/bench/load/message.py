"""As much of HTTP/1.1 as the load generator needs: requests as bytes, and the heads of responses."""

from collections.abc import Mapping
from dataclasses import dataclass

MANIFEST_TYPES = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
HEAD_LIMIT = 32 * 1024


class LoadFailed(Exception):
    """A server answered otherwise than a benchmark can count; the message says what and how."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status line and fields of a response: what of them matters here."""

    status: int
    # Bytes of the head itself, with its empty line.
    size: int
    # Bytes of body that it announces.
    length: int


def request(method: str, path: str, host: str, headers: Mapping[str, str]) -> bytes:
    """Writes a keep-alive request without a body."""
    fields = {"Host": host, "Accept": MANIFEST_TYPES, **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def parse_head(received: bytes) -> Head | None:
    """Reads the head of a response; None while it is not complete.

    Raises LoadFailed for one that is no HTTP/1.1, too long, or does not announce its length.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        if len(received) > HEAD_LIMIT:
            raise LoadFailed(f"no end of the header fields within {HEAD_LIMIT} bytes")
        return None
    status_line, *lines = received[:end].decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if version != "HTTP/1.1" or not rest[:3].isdecimal():
        raise LoadFailed(f"not an HTTP/1.1 response: {status_line[:80]!r}")
    fields = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    length = fields.get("content-length", "")
    if not length.isdecimal():
        raise LoadFailed(f"the response has no Content-Length: {status_line[:80]!r}")
    return Head(int(rest[:3]), end + 4, int(length))
