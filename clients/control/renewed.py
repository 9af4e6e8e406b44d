"""A channel that is made anew when the certificates of its side are replaced."""

from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from clients.control.trust import Certificates
from clients.process.replaced import Replaced


class RenewedChannel(grpc.aio.Channel):
    """Sends each call through a channel that `connect` makes of the certificates that are current.

    gRPC reads a client's certificates once for each channel. A call goes on where it began: a stream lasts
    as long as it would have.
    """

    def __init__(
        self, certificates: Replaced[Certificates], connect: Callable[[Certificates], grpc.aio.Channel]
    ) -> None:
        self._certificates = certificates
        self._connect = connect
        self._used = certificates.current()
        self._channel = connect(self._used)
        # Kept for calls that were on their way to it; what is older ends with its last call.
        self._former: grpc.aio.Channel | None = None

    def current(self) -> grpc.aio.Channel:
        """Give the channel for calls that begin now."""
        certificates = self._certificates.current()
        if certificates is not self._used:
            self._used = certificates
            self._former, self._channel = self._channel, self._connect(certificates)
        return self._channel

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Method(self, lambda channel: channel.unary_unary(*arguments, **options))

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Method(self, lambda channel: channel.unary_stream(*arguments, **options))

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Method(self, lambda channel: channel.stream_unary(*arguments, **options))

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """See grpc.aio.Channel."""
        return _Method(self, lambda channel: channel.stream_stream(*arguments, **options))

    async def close(self, grace: float | None = None) -> None:
        """See grpc.aio.Channel."""
        if self._former is not None:
            await self._former.close(grace)
        await self._channel.close(grace)

    async def __aenter__(self) -> "RenewedChannel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """See grpc.aio.Channel."""
        return self.current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """See grpc.aio.Channel."""
        await self.current().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """See grpc.aio.Channel."""
        await self.current().channel_ready()


class _Method:
    """One method of a service, called on the channel that is current."""

    def __init__(self, channel: RenewedChannel, bind: Callable[[grpc.aio.Channel], Any]) -> None:
        self._channel = channel
        self._bind = bind
        self._bound: tuple[grpc.aio.Channel, Any] | None = None

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        channel = self._channel.current()
        if self._bound is None or self._bound[0] is not channel:
            self._bound = (channel, self._bind(channel))
        return self._bound[1](*arguments, **options)
