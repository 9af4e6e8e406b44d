"""What can go wrong with an upstream, as one tree; libraries' own errors never leave this package."""


class UpstreamError(Exception):
    """An upstream could not give what was asked; `str()` is one sentence for users, free of secrets."""

    def __init__(self, host: str, sentence: str, *, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        # As people write it: "docker.io", "127.0.0.1:5000".
        self.host = host
        # Seconds after which the upstream said to try again; None when it did not say.
        self.retry_after = retry_after


class UpstreamUnavailable(UpstreamError):
    """No useful answer: name resolution, connection, TLS, time-out, broken transfer, or a 5xx status."""


class UpstreamBroken(UpstreamUnavailable):
    """The connection was refused, reset, or broke off: asking again at once may help."""


class NotAsked(UpstreamUnavailable):
    """This process could not ask, for want of something of its own: that says nothing of the upstream."""


class UnknownHost(UpstreamUnavailable):
    """The upstream's host name does not resolve."""


class UntrustedTls(UpstreamUnavailable):
    """No connection over TLS: its certificate is not trusted, or it speaks something else."""


class UpstreamPaused(UpstreamUnavailable):
    """The upstream has failed so often that it is not asked for a moment (see `clients.oci.breaker`)."""


class UpstreamDenied(UpstreamError):
    """The upstream wants other credentials, or none would do: 401 or 403."""


class CredentialRefused(UpstreamDenied):
    """The credential itself is wrong, or no longer good; it is no question of what it may read."""


class PermissionMissing(UpstreamDenied):
    """The credential is good, and its owner lacks a permission that the upstream named."""

    def __init__(self, host: str, sentence: str, *, permission: str) -> None:
        super().__init__(host, sentence)
        # As the upstream calls it: "ecr:BatchGetImage".
        self.permission = permission


class UpstreamNotFound(UpstreamError):
    """The upstream has no such repository, manifest or blob: 404."""


class UpstreamRateLimited(UpstreamError):
    """The upstream asks for fewer requests: 429."""


class UpstreamInvalid(UpstreamError):
    """An answer that breaks the protocol, its bounds, or a security rule; asking again will not help."""


class ForbiddenAddress(UpstreamInvalid):
    """The host is at a loopback, link-local, private or reserved address, and these are not allowed."""
