"""What the differences between configurations say, and that they say enough."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.config.change import difference
from penstock.v1 import config_pb2

# Few, so that two configurations share some.
_UIDS = st.sampled_from([f"uid-{number}" for number in range(6)])
_WORDS = st.sampled_from(["acme", "globex", "initech"])


def _lists(entry):
    """Lists of entries, one for each uid at most, in their order."""
    return st.lists(entry, unique_by=lambda one: one.uid).map(
        lambda many: sorted(many, key=lambda one: one.uid)
    )


_CONFIGURATIONS = st.builds(
    config_pb2.Configuration,
    revision=st.integers(1, 2**40),
    organizations=_lists(st.builds(config_pb2.OrganizationConfig, uid=_UIDS, organization_id=_WORDS)),
    artifacts=_lists(
        st.builds(
            config_pb2.ArtifactConfig,
            uid=_UIDS,
            organization_uid=_UIDS,
            repository=_WORDS,
            content_revision=st.integers(1, 3),
        )
    ),
    tokens=_lists(
        st.builds(config_pb2.TokenConfig, uid=_UIDS, organization_uid=_UIDS, role=st.integers(1, 3))
    ),
)


def _apply(old: config_pb2.Configuration, change: config_pb2.ConfigurationChange) -> config_pb2.Configuration:
    """Does to a configuration what config.proto says of a change."""
    assert change.from_revision == old.revision
    new = config_pb2.Configuration(revision=change.to_revision)
    for held, altered, removed, result in (
        (
            old.organizations,
            change.organizations,
            change.removed_organization_uids,
            new.organizations,
        ),
        (old.artifacts, change.artifacts, change.removed_artifact_uids, new.artifacts),
        (old.tokens, change.tokens, change.removed_token_uids, new.tokens),
    ):
        entries = {entry.uid: entry for entry in held} | {entry.uid: entry for entry in altered}
        result.extend(entries[uid] for uid in sorted(set(entries) - set(removed)))
    return new


@given(old=_CONFIGURATIONS, new=_CONFIGURATIONS)
def test_difference_makes_the_new_configuration_of_the_old(
    old: config_pb2.Configuration, new: config_pb2.Configuration
) -> None:
    """A node that applies the difference runs exactly what a node that got the snapshot runs."""
    assert _apply(old, difference(old, new)) == new


@given(configuration=_CONFIGURATIONS)
def test_difference_to_itself_is_empty(configuration: config_pb2.Configuration) -> None:
    """Nothing is sent again that a node has."""
    change = difference(configuration, configuration)
    assert change == config_pb2.ConfigurationChange(
        from_revision=configuration.revision, to_revision=configuration.revision
    )


def test_difference_names_only_what_changed() -> None:
    """Of ten thousand artifacts with one that moved on, one is sent."""

    def made(moved: int) -> config_pb2.Configuration:
        return config_pb2.Configuration(
            revision=moved,
            artifacts=[
                config_pb2.ArtifactConfig(uid=f"{n:05}", content_revision=moved if n == 7 else 1)
                for n in range(10_000)
            ],
        )

    change = difference(made(1), made(2))
    assert [(entry.uid, entry.content_revision) for entry in change.artifacts] == [("00007", 2)]
    assert not change.removed_artifact_uids
