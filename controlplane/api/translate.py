"""Whatever left a method as an exception, as the error that its caller gets."""

import logging
import secrets

import grpc

from clients.oci.errors import UpstreamError
from controlplane.api.errors import ApiError, from_upstream, not_found, unavailable
from controlplane.catalog.unknown import Unknown
from controlplane.model.database import DatabaseUnavailable
from controlplane.sync.locks import LocksUnavailable

_LOG = logging.getLogger(__name__)


def translate(method: str, error: Exception) -> ApiError:
    """Give the ApiError for an exception; what nobody expected is logged, and told without detail."""
    match error:
        case ApiError():
            return error
        case UpstreamError():
            return from_upstream(error)
        case Unknown():
            return not_found(error.reason, str(error))
        case DatabaseUnavailable():
            _LOG.warning("%s failed: %s", method, error, exc_info=error.__cause__)
            return unavailable(
                "DATABASE_UNAVAILABLE",
                "The control plane's database does not answer: try again.",
                retry_after=1,
            )
        case LocksUnavailable():
            return unavailable("SYNC_PAUSED", f"Nothing can be synced now. {error}", retry_after=5)
        case _:
            # Joins the caller's report with the line in the log.
            incident = secrets.token_hex(6)
            _LOG.error("%s failed, incident %s", method, incident, exc_info=error)
            return ApiError(
                grpc.StatusCode.INTERNAL,
                "INTERNAL",
                f"The control plane failed; its log says why, at incident {incident}.",
                metadata={"incident": incident},
            )
