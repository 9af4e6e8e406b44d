"""A network of the benchmark's own, with a known congestion control and nobody else's packets."""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

_CONGESTION_CONTROL = Path("/proc/sys/net/ipv4/tcp_congestion_control")
_PREFERRED = ("cubic", "reno")
_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def enter() -> str:
    """Moves this process, and all that it starts, into a new network namespace with loopback up.

    Gives a phrase that says where the benchmark runs: without root that is the host's network. On loopback,
    bbr and other people's packet filters cost more than the servers do, and hide their differences.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        return f"the host's network with {congestion_control()} (no namespace: {reason}; run as root for one)"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", _IFF_UP))
    for name in _PREFERRED:
        # A container's host may allow only some of what its kernel has.
        with contextlib.suppress(OSError):
            _CONGESTION_CONTROL.write_text(name)
            break
    return f"a network namespace of its own with {congestion_control()}"


def congestion_control() -> str:
    """The name of the congestion control that new connections get."""
    return _CONGESTION_CONTROL.read_text().strip()
