"""The parts of a control plane that ask upstreams: access with credentials, and syncs."""

from dataclasses import dataclass
from typing import Final

from clients.oci.transport import Transport
from controlplane.base import Base
from controlplane.model.keys import Keys
from controlplane.sync import redis_client
from controlplane.sync.hosts import Hosts
from controlplane.sync.instance import instance
from controlplane.sync.lease_rows import LeaseRows
from controlplane.sync.measures import SyncMeasures
from controlplane.sync.redis_locks import RedisLocks
from controlplane.sync.runner import Syncs
from controlplane.sync.wakeups import Wakeups
from controlplane.upstream.access import UpstreamAccess
from controlplane.upstream.credentials import Credentials
from controlplane.upstream.ecr import Ecr

_KEY_FILE: Final = "encryption-keys"


@dataclass(frozen=True, slots=True)
class Upstream:
    """How upstreams are asked, and with which secrets."""

    transport: Transport
    keys: Keys
    credentials: Credentials
    access: UpstreamAccess


async def start_upstream(base: Base) -> Upstream:
    """Open what requests to upstreams need; raises ConfigurationError where there are no good keys."""
    settings = base.settings
    allow_private = settings.allow_private_upstreams
    transport = await base.stack.enter_async_context(Transport(allow_private=allow_private))
    keys = Keys(
        settings.encryption_keys.get_secret_value(),
        settings.encryption_key_file or base.directory / _KEY_FILE,
    )
    credentials = Credentials(base.database, keys, Ecr(allow_private=allow_private), now=base.now)
    base.at_stop(credentials.stop)
    access = UpstreamAccess(transport, allow_private=allow_private, credentials=credentials)
    return Upstream(transport, keys, credentials, access)


async def start_syncs(base: Base, upstream: Upstream) -> Syncs:
    """Begin to sync what waits or is due, under locks in Redis or the database."""
    settings = base.settings
    locks = RedisLocks.at(settings.redis_url) if settings.redis_url else LeaseRows(base.database)
    base.at_stop(locks.close)
    syncs = Syncs(
        base.database,
        upstream.access,
        locks=locks,
        wakeups=Wakeups(redis_client.client(settings.redis_url)) if settings.redis_url else None,
        schedule=settings.schedule,
        limits=settings.sync_limits,
        hosts=Hosts(
            upstream.transport.rates,
            parallel=settings.sync_requests_per_host,
            share=settings.sync_rate_share,
        ),
        measures=SyncMeasures(base.registry),
        instance=base.stack.enter_context(instance(base.directory)),
        now=base.now,
    )
    # Before the start: a part of it may run when another part fails.
    base.at_stop(syncs.stop)
    await syncs.start()
    return syncs
