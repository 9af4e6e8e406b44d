"""What is counted of pulls: by names that people know, and in no more series than are allowed."""

from dataclasses import replace

from dataplane.config.draft import from_message
from dataplane.events.event import Event
from dataplane.events.measures import PullMeasures
from penstock.v1 import config_pb2

CONFIGURATION = from_message(
    config_pb2.Configuration(
        revision=1,
        organizations=[config_pb2.OrganizationConfig(uid="o", organization_id="acme")],
        customers=[config_pb2.CustomerConfig(uid="c", organization_uid="o", customer_id="globex")],
        artifacts=[config_pb2.ArtifactConfig(uid="a", organization_uid="o", repository="acme/team/app")],
    )
)
PULL = Event(
    "1" * 32, 0.0, True, "o", "a", "c", "u", "t", "1.0", "sha256:1", "", "", "::1", "docker", 10, 1, 0, True
)


def counted(measures: PullMeasures, name: str) -> dict[tuple[str, ...], float]:
    """Values of a metric, by the values of its labels."""
    (metric,) = (metric for metric in measures.collect() if metric.name == f"penstock_node_{name}")
    return {tuple(sample.labels.values()): sample.value for sample in metric.samples}


def test_by_organization_and_artifact() -> None:
    """Pulls, checks, bytes, and those that were not completed."""
    measures = PullMeasures(lambda: CONFIGURATION)
    measures.see([PULL, replace(PULL, completed=False), replace(PULL, is_pull=False)])
    key = ("acme", "team/app")
    assert counted(measures, "pulls") == {key: 2}
    assert counted(measures, "checks") == {key: 1}
    assert counted(measures, "pull_bytes") == {key: 20}
    assert counted(measures, "broken_pulls") == {key: 1}


def test_more_labels_and_a_cap() -> None:
    """Customer and tag where they are wanted; what there is no room for counts as other."""
    measures = PullMeasures(lambda: CONFIGURATION, ("customer", "tag"), most=2)
    measures.see([replace(PULL, tag=tag) for tag in ("1", "2", "3", "4", "1")])
    assert counted(measures, "pulls") == {
        ("acme", "team/app", "globex", "1"): 2,
        ("acme", "team/app", "globex", "2"): 1,
        ("other",) * 4: 2,
    }


def test_what_is_gone() -> None:
    """An artifact that was deleted meanwhile counts as other."""
    measures = PullMeasures(lambda: CONFIGURATION)
    measures.see([replace(PULL, artifact_uid="gone")])
    assert counted(measures, "pulls") == {("other", "other"): 1}
