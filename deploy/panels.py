"""What the Grafana dashboards show; `deploy.dashboards` writes them.

A panel that is a line or two here is forty lines of Grafana's JSON.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph of some queries, each with how its lines are called; `unit` is one of Grafana's."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    kind: str = "timeseries"


def _rate(metric: str, by: str = "", where: str = "") -> str:
    chosen = f"{metric}{{{where}}}" if where else metric
    total = f"sum by ({by})" if by else "sum"
    return f"{total} (rate({chosen}[$__rate_interval]))"


_NODE = 'instance=~"$instance"'
_SYNC_SECONDS = "penstock_sync_duration_seconds"
_GRPC_SECONDS = "penstock_grpc_call_duration_seconds"
_MINE = 'organization=~"$organization"'

DASHBOARDS: dict[str, tuple[str, Sequence[Panel]]] = {
    "cache": (
        "Penstock: cache",
        (
            Panel(
                "Requests by status",
                "reqps",
                [(_rate("penstock_node_requests_total", "status", _NODE), "{{status}}")],
            ),
            Panel(
                "Blobs from the cache",
                "percentunit",
                [(f"avg by (instance) (penstock:node_blob_hits:ratio_rate5m{{{_NODE}}})", "{{instance}}")],
            ),
            Panel(
                "Bytes to clients, and from upstreams",
                "Bps",
                [
                    (_rate("penstock_node_sent_bytes_total", "", _NODE), "to clients"),
                    (_rate("penstock_node_redirected_bytes_total", "", _NODE), "redirected to S3"),
                    (_rate("penstock_node_upstream_bytes_total", "", _NODE), "from upstreams"),
                ],
            ),
            Panel(
                "Opened blobs",
                "ops",
                [(_rate("penstock_node_blob_opens_total", "result", _NODE), "{{result}}")],
            ),
            Panel(
                "Manifests by where they were found",
                "ops",
                [(_rate("penstock_node_manifest_lookups_total", "source", _NODE), "{{source}}")],
            ),
            Panel(
                "Cached bytes",
                "bytes",
                [(f"penstock_node_cache_bytes{{{_NODE}}}", "{{instance}}")],
            ),
            Panel(
                "Free disk",
                "bytes",
                [(f"penstock_node_disk_free_bytes{{{_NODE}}}", "{{instance}}")],
            ),
            Panel(
                "Running fetches, connections, requests",
                "short",
                [
                    (f"sum (penstock_node_fetches_running{{{_NODE}}})", "fetches"),
                    (f"sum (penstock_node_connections{{{_NODE}}})", "connections"),
                    (f"sum (penstock_node_requests_in_flight{{{_NODE}}})", "requests"),
                ],
            ),
            Panel(
                "What should not happen",
                "ops",
                [
                    (_rate("penstock_node_digest_mismatches_total", "", _NODE), "digest mismatches"),
                    (_rate("penstock_node_fetch_failures_total", "", _NODE), "failed fetches"),
                    (_rate("penstock_node_rotten_blobs_total", "", _NODE), "rotten blobs"),
                    (_rate("penstock_node_limit_hits_total", "limit", _NODE), "limit: {{limit}}"),
                ],
            ),
            Panel(
                "Evictions",
                "ops",
                [(_rate("penstock_node_evictions_total", "instance", _NODE), "{{instance}}")],
            ),
            Panel(
                "Age of the configuration",
                "s",
                [(f"penstock_node_config_age_seconds{{{_NODE}}}", "{{instance}}")],
            ),
            Panel(
                "Pulls that wait to be stored",
                "short",
                [(f"penstock_node_events_waiting{{{_NODE}}}", "{{instance}}")],
            ),
        ),
    ),
    "upstreams": (
        "Penstock: upstreams",
        (
            Panel(
                "Requests of the control plane by status",
                "reqps",
                [(_rate("penstock_upstream_requests_total", "upstream, status"), "{{upstream}} {{status}}")],
            ),
            Panel(
                "Refused or failed",
                "percentunit",
                [("penstock:upstream_refusals:ratio_rate5m", "{{upstream}}")],
            ),
            Panel(
                "Circuit breakers: 2 is open",
                "short",
                [("max by (upstream) (penstock_upstream_breaker_state)", "{{upstream}}")],
            ),
            Panel(
                "Rate limit left",
                "percentunit",
                [("penstock_upstream_rate_remaining / (penstock_upstream_rate_limit > 0)", "{{upstream}}")],
            ),
            Panel(
                "Pauses that upstreams asked for",
                "s",
                [("max by (upstream) (penstock_upstream_pause_seconds)", "{{upstream}}")],
            ),
            Panel(
                "Age of ECR tokens",
                "s",
                [("penstock_ecr_token_age_seconds", "{{credential}} {{region}}")],
            ),
            Panel(
                "Bytes of blobs from upstreams",
                "Bps",
                [(_rate("penstock_node_upstream_bytes_total", "instance"), "{{instance}}")],
            ),
            Panel(
                "Fetches that went on, and that failed",
                "ops",
                [
                    (_rate("penstock_node_fetch_resumes_total"), "went on"),
                    (_rate("penstock_node_fetch_failures_total"), "failed"),
                ],
            ),
        ),
    ),
    "customers": (
        "Penstock: customers",
        (
            Panel(
                "Pulls in an hour, by artifact",
                "short",
                [(f"penstock:pulls:increase1h{{{_MINE}}}", "{{organization}}/{{artifact}}")],
            ),
            Panel(
                "Most pulled",
                "short",
                [(f"topk(10, penstock:pulls:increase1h{{{_MINE}}})", "{{organization}}/{{artifact}}")],
                kind="bargauge",
            ),
            Panel(
                "Cold pulls",
                "percentunit",
                [
                    (
                        f"({_rate('penstock_pulls_cold_total', '', _MINE)} or vector(0))"
                        f" / {_rate('penstock_pulls_total', '', _MINE)}",
                        "cold",
                    )
                ],
            ),
            Panel(
                "Checks",
                "ops",
                [(_rate("penstock_pull_checks_total", "organization", _MINE), "{{organization}}")],
            ),
            Panel(
                "Bytes sent for pulls",
                "Bps",
                [
                    (_rate("penstock_pulls_sent_bytes_total", "organization", _MINE), "{{organization}}"),
                    (
                        _rate("penstock_pulls_redirected_bytes_total", "organization", _MINE),
                        "{{organization}}, redirected to S3",
                    ),
                ],
            ),
            Panel(
                "Reported events by what became of them",
                "ops",
                [(_rate("penstock_pull_events_total", "result"), "{{result}}")],
            ),
        ),
    ),
    "sync": (
        "Penstock: sync and API",
        (
            Panel(
                "Ended syncs",
                "ops",
                [(_rate("penstock_sync_jobs_total", "state, trigger"), "{{state}} {{trigger}}")],
            ),
            Panel(
                "How long syncs take, 95 of 100",
                "s",
                [
                    (
                        f"histogram_quantile(0.95, {_rate(f'{_SYNC_SECONDS}_bucket', 'le, state')})",
                        "{{state}}",
                    )
                ],
            ),
            Panel(
                "Longest without a sync",
                "s",
                [
                    (
                        "topk(10, time() - max by (artifact) (penstock_sync_last_success_timestamp_seconds))",
                        "{{artifact}}",
                    )
                ],
            ),
            Panel("Locks held", "short", [("penstock_sync_locks_held", "{{instance}}")]),
            Panel(
                "Locks lost, syncs paused",
                "short",
                [
                    (_rate("penstock_sync_locks_lost_total"), "lost a second"),
                    ("max (penstock_sync_paused)", "paused"),
                ],
            ),
            Panel("gRPC calls by code", "reqps", [(_rate("penstock_grpc_calls_total", "code"), "{{code}}")]),
            Panel(
                "How long calls take, 95 of 100",
                "s",
                [
                    (
                        f"histogram_quantile(0.95, {_rate(f'{_GRPC_SECONDS}_bucket', 'le, method')})",
                        "{{method}}",
                    )
                ],
            ),
            Panel(
                "HTTP requests",
                "reqps",
                [(_rate("penstock_http_requests_total", "route, status"), "{{route}} {{status}}")],
            ),
            Panel(
                "Versions",
                "short",
                [("count by (version) (penstock_build_info)", "{{version}}")],
                kind="stat",
            ),
        ),
    ),
}
