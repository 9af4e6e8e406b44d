"""Metrics of sync."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlmodel import col, select

from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.tables import Organization
from penstock.v1 import artifact_pb2

_Job = artifact_pb2.SyncJob
# Artifacts whose last sync is told; each is a series.
_MOST_ARTIFACTS: Final = 2000
_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)


class SyncMeasures:
    """What this process's runs of sync came to, and the locks that it holds for them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Counter(
            "penstock_sync_jobs",
            "Sync jobs that ended here, by state and by what asked for them.",
            ("state", "trigger"),
            registry=registry,
        )
        self._seconds = Histogram(
            "penstock_sync_duration_seconds",
            "How long syncs took, by the state that they ended in.",
            ("state",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._held = Gauge(
            "penstock_sync_locks_held", "Locks on artifacts that are held for syncs here.", registry=registry
        )
        self._lost = Counter(
            "penstock_sync_locks_lost",
            "Locks that were lost while a sync ran here; another one took it up.",
            registry=registry,
        )
        self._paused = Gauge(
            "penstock_sync_paused",
            "1 while nothing is synced, since the locks cannot be used; 0 otherwise.",
            registry=registry,
        )

    def ended(self, state: int, trigger: int, seconds: float) -> None:
        """Count a job that ended."""
        name = _Job.State.Name(_Job.State.ValueType(state)).lower()
        self._jobs.labels(name, _Job.Trigger.Name(_Job.Trigger.ValueType(trigger)).lower()).inc()
        self._seconds.labels(name).observe(seconds)

    def holds(self, locks: int) -> None:
        """Say how many locks are held."""
        self._held.set(locks)

    def lost(self) -> None:
        """Count a lock that was lost."""
        self._lost.inc()

    def pause(self) -> None:
        """Say that syncs wait for the locks."""
        self._paused.set(1)

    def go_on(self) -> None:
        """Say that they do not."""
        self._paused.set(0)


class LastSyncs(Collector):
    """When each artifact was last synced, by whichever replica; as of the last `refresh`."""

    def __init__(self, database: Database, registry: CollectorRegistry) -> None:
        self._database = database
        self._times: dict[str, datetime] = {}
        registry.register(self)

    async def refresh(self) -> None:
        """Look at the tables; what was seen last stays while the database does not answer."""
        try:
            async with self._database.read() as session:
                found = await session.exec(
                    select(Organization.slug, Artifact.path, Artifact.last_sync_time)
                    .join(Artifact, col(Artifact.organization_id) == Organization.id)
                    .where(col(Artifact.last_sync_time).is_not(None))
                    # Those that wait longest: they are what alarms are about.
                    .order_by(col(Artifact.last_sync_time))
                    .limit(_MOST_ARTIFACTS)
                )
                self._times = {f"{slug}/{path}": time for slug, path, time in found if time is not None}
        except DatabaseUnavailable:
            return

    def collect(self) -> Iterable[Metric]:
        """Give the times."""
        family = GaugeMetricFamily(
            "penstock_sync_last_success_timestamp_seconds",
            "When the last sync of the artifact ended that succeeded, in seconds since 1970.",
            labels=("artifact",),
        )
        for artifact, time in self._times.items():
            family.add_metric((artifact,), time.timestamp())
        yield family
