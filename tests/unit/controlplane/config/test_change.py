"""What the differences between configurations say, that they say enough, and how they are cut."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.config.change import difference, whole
from controlplane.config.held import Held
from controlplane.model.section import Section
from penstock.v1 import config_pb2, node_pb2

# Few, so that two configurations share some.
_UIDS = st.sampled_from([f"uid-{number}" for number in range(6)])
_WORDS = st.sampled_from(["acme", "globex", "initech"])
_ENTRIES = {
    Section.ORGANIZATIONS: st.builds(
        config_pb2.OrganizationConfig, uid=_UIDS, organization_id=_WORDS, entitled_only=st.booleans()
    ),
    Section.CUSTOMERS: st.builds(config_pb2.CustomerConfig, uid=_UIDS, customer_id=_WORDS),
    Section.ARTIFACTS: st.builds(
        config_pb2.ArtifactConfig, uid=_UIDS, repository=_WORDS, content_revision=st.integers(1, 3)
    ),
    Section.TOKENS: st.builds(
        config_pb2.TokenConfig, uid=_UIDS, organization_uid=_UIDS, role=st.integers(1, 3)
    ),
    Section.ENTITLEMENTS: st.builds(config_pb2.EntitlementConfig, uid=_UIDS, customer_uid=_UIDS),
}


def _entries(entry):
    """A section, each uid once at most."""
    return st.lists(entry).map(lambda many: {one.uid: one.SerializeToString() for one in many})


_CONFIGURATIONS = st.builds(
    Held,
    revision=st.integers(1, 2**40),
    changed_at=st.just({}),
    sections=st.fixed_dictionaries({section: _entries(entry) for section, entry in _ENTRIES.items()}),
)
_PIECES = st.integers(1, 200)


def _merge(responses: list[node_pb2.WatchConfigResponse]) -> node_pb2.WatchConfigResponse:
    """Puts pieces together as node.proto says."""
    assert [response.continued for response in responses] == [True] * (len(responses) - 1) + [False]
    merged = node_pb2.WatchConfigResponse()
    for response in responses:
        merged.MergeFrom(response)
    return merged


def _configuration(held: Held) -> config_pb2.Configuration:
    made = config_pb2.Configuration(revision=held.revision)
    for section, entries in held.sections.items():
        for _, entry in sorted(entries.items()):
            getattr(made, section).add().ParseFromString(entry)
    return made


def _apply(old: Held, change: config_pb2.ConfigurationChange) -> config_pb2.Configuration:
    """Does to a configuration what config.proto says of a change."""
    assert change.from_revision == old.revision
    sections = {}
    for section in Section:
        entries = dict(old.sections[section])
        entries |= {entry.uid: entry.SerializeToString() for entry in getattr(change, section)}
        removed = set(getattr(change, f"removed_{section.removesuffix('s')}_uids"))
        sections[section] = {uid: entry for uid, entry in entries.items() if uid not in removed}
    return _configuration(Held(change.to_revision, {}, sections))


@given(old=_CONFIGURATIONS, new=_CONFIGURATIONS, piece=_PIECES)
def test_difference_makes_the_new_configuration_of_the_old(old: Held, new: Held, piece: int) -> None:
    """A node that applies the difference runs exactly what a node that got the snapshot runs."""
    assert _apply(old, _merge(difference(old, new, piece)).change) == _configuration(new)


@given(configuration=_CONFIGURATIONS, piece=_PIECES)
def test_a_snapshot_is_whole_however_it_is_cut(configuration: Held, piece: int) -> None:
    """Whatever fits one message, a node that merges the pieces has all entries in the order of uids."""
    responses = whole(configuration, piece)
    assert _merge(responses).snapshot == _configuration(configuration)
    entries = [entry for section in configuration.sections.values() for entry in section.values()]
    longest = max(map(len, entries), default=0)
    assert all(response.snapshot.ByteSize() <= piece + longest + 16 for response in responses)


@given(configuration=_CONFIGURATIONS)
def test_difference_to_itself_is_empty(configuration: Held) -> None:
    """Nothing is sent again that a node has."""
    copied = {section: dict(entries) for section, entries in configuration.sections.items()}
    (response,) = difference(configuration, Held(configuration.revision, {}, copied))
    assert response.change == config_pb2.ConfigurationChange(
        from_revision=configuration.revision, to_revision=configuration.revision
    )


def test_difference_names_only_what_changed() -> None:
    """Of ten thousand artifacts with one that moved on, one is sent."""

    def made(moved: int) -> Held:
        sections: dict[Section, dict[str, bytes]] = {section: {} for section in Section}
        for number in range(10_000):
            uid = f"{number:05}"
            sections[Section.ARTIFACTS][uid] = config_pb2.ArtifactConfig(
                uid=uid, content_revision=moved if number == 7 else 1
            ).SerializeToString()
        return Held(moved, {}, sections)

    (response,) = difference(made(1), made(2))
    assert [(entry.uid, entry.content_revision) for entry in response.change.artifacts] == [("00007", 2)]
    assert not response.change.removed_artifact_uids
