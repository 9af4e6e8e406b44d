"""Variables of the environment that look like settings of Penstock and are none, told once at the start.

They are told and not refused: the environment may be for a newer or an older version as well.
"""

import logging
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

_LOG = logging.getLogger(__name__)

KNOWN: Final = frozenset(
    {
        "PENSTOCK_ADDRESS",
        "PENSTOCK_ALLOW_CLEARTEXT",
        "PENSTOCK_ALLOW_PRIVATE_UPSTREAMS",
        "PENSTOCK_AUDIT_RETENTION",
        "PENSTOCK_BLOB_STORE",
        "PENSTOCK_CACHE_MAX_BYTES",
        "PENSTOCK_CACHE_MIN_FREE_BYTES",
        "PENSTOCK_CA_FILE",
        "PENSTOCK_CLIENT_CERTIFICATE",
        "PENSTOCK_CLIENT_KEY",
        "PENSTOCK_CONTROLPLANE_TLS_CERTIFICATE",
        "PENSTOCK_CONTROLPLANE_TLS_CLIENT_CA",
        "PENSTOCK_CONTROLPLANE_TLS_KEY",
        "PENSTOCK_DATABASE_URL",
        "PENSTOCK_DATA_DIR",
        "PENSTOCK_DRAIN_TIMEOUT",
        "PENSTOCK_ENCRYPTION_KEYS",
        "PENSTOCK_ENCRYPTION_KEY_FILE",
        "PENSTOCK_EVENTS_MAX_BYTES",
        "PENSTOCK_FAST_PATH",
        "PENSTOCK_GRPC_LISTEN",
        "PENSTOCK_HEADER_TIMEOUT",
        "PENSTOCK_HTTP_LISTEN",
        "PENSTOCK_IDLE_TIMEOUT",
        "PENSTOCK_LOG_FORMAT",
        "PENSTOCK_LOG_LEVEL",
        "PENSTOCK_MANIFEST_DISK_MAX_BYTES",
        "PENSTOCK_MANIFEST_MEMORY_MAX_BYTES",
        "PENSTOCK_MAX_CONNECTIONS",
        "PENSTOCK_MAX_RATE",
        "PENSTOCK_MAX_RATE_PER_ADDRESS",
        "PENSTOCK_MAX_RATE_PER_TOKEN",
        "PENSTOCK_MAX_TRANSFERS",
        "PENSTOCK_MAX_TRANSFERS_PER_ADDRESS",
        "PENSTOCK_MAX_TRANSFERS_PER_TOKEN",
        "PENSTOCK_METRICS_PULL_LABELS",
        "PENSTOCK_METRICS_PULL_SERIES",
        "PENSTOCK_METRICS_TOKEN",
        "PENSTOCK_NODE_LISTEN",
        "PENSTOCK_NODE_TOKEN",
        "PENSTOCK_PREFETCH_RATE",
        "PENSTOCK_PROXY_PROTOCOL",
        "PENSTOCK_PULL_EVENTS",
        "PENSTOCK_PULL_RETENTION",
        "PENSTOCK_PULL_SUM_RETENTION",
        "PENSTOCK_PULL_WINDOW",
        "PENSTOCK_REDIS_URL",
        "PENSTOCK_REGISTRY_LISTEN",
        "PENSTOCK_S3_CA_FILE",
        "PENSTOCK_S3_ENDPOINT",
        "PENSTOCK_S3_PUBLIC_ENDPOINT",
        "PENSTOCK_S3_REDIRECT",
        "PENSTOCK_S3_REDIRECT_EXCEPT",
        "PENSTOCK_S3_WAIT",
        "PENSTOCK_SCRUB_RATE",
        "PENSTOCK_SERVER_NAME",
        "PENSTOCK_STALL_TIMEOUT",
        "PENSTOCK_SYNC_JOB_RETENTION",
        "PENSTOCK_SYNC_LEASE",
        "PENSTOCK_SYNC_PARALLEL",
        "PENSTOCK_SYNC_PARALLEL_PER_HOST",
        "PENSTOCK_SYNC_RATE_SHARE",
        "PENSTOCK_SYNC_REQUESTS_PER_HOST",
        "PENSTOCK_TAG_HISTORY_RETENTION",
        "PENSTOCK_TIME_ZONE",
        "PENSTOCK_TLS_CERTIFICATE",
        "PENSTOCK_TLS_KEY",
        "PENSTOCK_TOKEN",
        "PENSTOCK_TRACING_ENDPOINT",
        "PENSTOCK_TRUSTED_PROXIES",
        "PENSTOCK_WORKERS",
        "PENSTOCK_WORKER_TIMEOUT",
        "REGISTRY_UPSTREAM_SYNC_CRON",
        "REGISTRY_UPSTREAM_SYNC_TIMEOUT",
    }
)
"""The settings of both planes and of the command: one environment is often for all of them."""

_OURS: Final = ("PENSTOCK_", "REGISTRY_UPSTREAM_")
# What Kubernetes sets in every container for a service that is called penstock, or penstock-something.
_OF_SERVICE: Final = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR))"
)
_TO_SERVICE: Final = ("tcp://", "udp://", "sctp://")
# How much of two names must agree, of which the first ten characters do anyway.
_NEAR: Final = 0.8
# Names that are told, and characters of each.
_MOST: Final = 20
_LONGEST: Final = 100


def warn_of_unknown(environment: Mapping[str, str]) -> None:
    """Log a warning for each variable that is ignored, with the setting that is most like it; no values."""
    names = sorted(name for name, value in environment.items() if _is_unknown(name.upper(), value))
    for name in names[:_MOST]:
        near = get_close_matches(name.upper()[:_LONGEST], sorted(KNOWN), n=1, cutoff=_NEAR)
        meant = f": {near[0]} may be meant" if near else ""
        _LOG.warning("%s is no setting of this version and is ignored%s.", name[:_LONGEST], meant)


def _is_unknown(name: str, value: str) -> bool:
    if not value or not name.startswith(_OURS) or name in KNOWN:
        return False
    return not (_OF_SERVICE.fullmatch(name) or value.startswith(_TO_SERVICE))
