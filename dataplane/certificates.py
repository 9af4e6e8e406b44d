"""The certificates that a node shows: to its clients, and to a control plane that wants one."""

from collections.abc import Callable
from pathlib import Path

from clients.process.expiry import CertificateExpiry
from clients.process.replaced import Replaced
from clients.process.tls import Identity
from dataplane.settings import Settings


def certificate_expiry(settings: Settings, served: Replaced[Identity] | None) -> CertificateExpiry:
    """Give the metric of when they end; `served` is what the registry's port shows.

    Raises ConfigurationError.
    """
    shown: dict[Path, Callable[[], bytes | None]] = {}
    if settings.tls is not None and served is not None:
        shown[settings.tls.certificate] = lambda: served.known.chain
    if settings.target.tls and settings.trust.own is not None:
        own = settings.trust.certificates()
        shown[settings.trust.own.certificate] = lambda: own.current().chain
    return CertificateExpiry("penstock_node_certificate_expiry_timestamp_seconds", shown)
