"""Amazon ECR's GetAuthorizationToken: an access key, to the password of a registry for some hours."""

import base64
import binascii
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    ReadTimeoutError,
    SSLError,
)

from clients.oci.address import AddressRefused
from clients.oci.credential import Basic
from clients.oci.errors import (
    CredentialRefused,
    ForbiddenAddress,
    PermissionMissing,
    UntrustedTls,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from clients.oci.failure import missing_permission
from clients.oci.resolver import GuardedResolver
from clients.oci.upstream import Upstream
from controlplane.upstream.aws_http import CarefulSession
from controlplane.upstream.ecr_host import EcrHost
from controlplane.upstream.opened import AwsKey

# It logs requests and answers, and with them tokens, at DEBUG.
for _name in ("botocore", "aiobotocore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

# Of registries under names of somebody's own, in front of ECR or in place of it.
_DEFAULT_REGION: Final = "us-east-1"
_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 15
_ATTEMPTS: Final = 3
_SESSION_NAME: Final = "penstock"
# What a token that has ended by this machine's clock, which must be wrong then, is used for.
_SHORTEST: Final = timedelta(minutes=1)

_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_WRONG_KEY: Final = frozenset(
    {
        "AuthFailure",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_THROTTLED: Final = frozenset(
    {"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"}
)


@dataclass(frozen=True, slots=True)
class Region:
    """Where a token is asked for; it is good for every registry of the region that the key may read."""

    name: str = _DEFAULT_REGION
    fips: bool = False

    @classmethod
    def of(cls, upstream: Upstream) -> Self:
        """Read the region from the registry's host name; us-east-1 where that is not one of ECR's."""
        host = EcrHost.parse(upstream.host.partition(":")[0])
        return cls() if host is None else cls(host.region, host.fips)

    def __str__(self) -> str:
        return f"{self.name}-fips" if self.fips else self.name


@dataclass(frozen=True, slots=True)
class Token:
    """A registry password with its life."""

    basic: Basic = field(repr=False)
    fetched_at: datetime
    expires_at: datetime

    @property
    def renew_at(self) -> datetime:
        """Half of its life.

        AWS may then be away for as long again before anybody notices, a node is never handed one that is
        about to end, and two calls a day cost nothing.
        """
        return self.fetched_at + (self.expires_at - self.fetched_at) / 2


class Ecr:
    """Asks AWS for tokens; `allow_private` lets its endpoints be at private addresses (private links)."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private
        self._session: AioSession | None = None

    async def token(self, key: AwsKey, region: Region, now: datetime) -> Token:
        """Get a token for the registries of a region. Raises UpstreamError about AWS, free of secrets."""
        where = f"AWS ({region.name})"
        if key.role_arn:
            key = await self._assumed(key, region, where)
        with _translated(where, "ecr:GetAuthorizationToken"):
            async with self._client("ecr", key, region, key.endpoint) as client:
                answer = await client.get_authorization_token()
        try:
            (data,) = answer["authorizationData"][:1]
            username, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
            expires_at = data["expiresAt"].astimezone(UTC)
            basic = Basic(username, password)
        except (KeyError, ValueError, AttributeError, binascii.Error):
            raise UpstreamInvalid(where, f"{where} gave no proper authorization token.") from None
        return Token(basic, now, max(expires_at, now + _SHORTEST))

    async def _assumed(self, key: AwsKey, region: Region, where: str) -> AwsKey:
        wanted = {"RoleArn": key.role_arn, "RoleSessionName": _SESSION_NAME}
        if key.external_id:
            wanted["ExternalId"] = key.external_id
        with _translated(where, "sts:AssumeRole"):
            async with self._client("sts", key, region, "") as client:
                answer = await client.assume_role(**wanted)
        given = answer["Credentials"]
        return AwsKey(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], endpoint=key.endpoint
        )

    def _client(self, service: str, key: AwsKey, region: Region, endpoint: str) -> Any:
        # Reads its tables of services, some megabytes, with the first client.
        self._session = self._session or get_session()
        return self._session.create_client(
            service,
            region_name=region.name,
            endpoint_url=endpoint or None,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=key.session_token or None,
            config=AioConfig(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
                use_fips_endpoint=region.fips and not endpoint,
                http_session_cls=CarefulSession,
                connector_args={
                    "resolver": GuardedResolver(allow_private=self._allow_private, timeout=_CONNECT_SECONDS)
                },
            ),
        )


@contextmanager
def _translated(where: str, action: str) -> Iterator[None]:
    """Turn what AWS says into an UpstreamError; its own words stay behind, for they may quote a token."""
    try:
        yield
    except ClientError as error:
        raise _refusal(where, action, error) from None
    except SSLError:
        raise UntrustedTls(where, f"{where} could not be reached over TLS.") from None
    except (ConnectTimeoutError, ReadTimeoutError):
        raise UpstreamUnavailable(where, f"{where} did not answer in time.") from None
    except (EndpointConnectionError, HTTPClientError) as error:
        cause = error.kwargs.get("error")
        if isinstance(cause, AddressRefused):
            raise ForbiddenAddress(where, f"{cause}.") from None
        raise UpstreamUnavailable(where, f"{where} could not be reached.") from None
    except BotoCoreError as error:
        raise UpstreamInvalid(where, f"{where} could not be asked ({type(error).__name__}).") from None


def _refusal(where: str, action: str, error: ClientError) -> UpstreamError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _DENIED:
        named = missing_permission(str(error)) or action
        return PermissionMissing(
            where, f"{where} refuses the access key: it lacks the permission {named}.", permission=named
        )
    if code in _EXPIRED:
        return CredentialRefused(where, f"{where} refuses the access key: its session token has expired.")
    if code in _WRONG_KEY:
        return CredentialRefused(
            where, f"{where} refuses the access key: its id, its secret or its session token is wrong."
        )
    if code in _THROTTLED or status == 429:
        return UpstreamRateLimited(where, f"{where} asks for fewer requests.")
    if status >= 500:
        return UpstreamUnavailable(where, f"{where} answered {status}.")
    return UpstreamInvalid(where, f"{where} refused {action} ({code or status}).")
