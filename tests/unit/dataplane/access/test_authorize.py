"""Who may pull from which artifact."""

import pytest

from clients.oci.tag_rule import ALL_TAGS, TagRule
from dataplane.access.authorize import permit
from dataplane.access.principal import Principal
from dataplane.access.rules import Rules
from dataplane.config.draft import apply, from_message
from penstock.v1 import config_pb2
from penstock.v1.config_pb2 import CustomerConfig, EntitlementConfig, OrganizationConfig
from penstock.v1.entitlement_pb2 import TagRule as TagRuleMessage

CONFIGURATION = from_message(
    config_pb2.Configuration(
        revision=1,
        organizations=[
            config_pb2.OrganizationConfig(uid="org-1", organization_id="acme"),
            config_pb2.OrganizationConfig(uid="org-2", organization_id="globex"),
        ],
        artifacts=[
            config_pb2.ArtifactConfig(uid="a", organization_uid="org-1", repository="acme/app"),
            config_pb2.ArtifactConfig(uid="b", organization_uid="org-1", repository="acme/app/sub"),
            config_pb2.ArtifactConfig(uid="c", organization_uid="org-2", repository="globex/app"),
        ],
    )
)


@pytest.mark.parametrize("role", [1, 2, 3])
@pytest.mark.parametrize(
    ("organization", "repository", "uid"),
    [
        ("org-1", "acme/app", "a"),
        ("org-1", "acme/app/sub", "b"),
        ("org-1", "acme/ap", None),
        ("org-1", "acme/app/other", None),
        ("org-1", "acme", None),
        ("org-1", "globex/app", None),
        ("org-2", "globex/app", "c"),
        ("org-2", "acme/app", None),
        ("org-3", "acme/app", None),
        ("", "acme/app", "a"),
        ("", "globex/app", "c"),
        ("", "nobody/app", None),
    ],
)
def test_an_artifact_is_found_within_ones_organization(
    organization: str, repository: str, uid: str | None, role: int
) -> None:
    """Another organization's looks like none; the installation's administrator finds all."""
    principal = Principal("token", "user", organization, role, None)
    found = permit(principal, repository, CONFIGURATION, 0)
    assert (found.artifact.uid if found else None) == uid
    assert found is None or found.rules is None


def entitlement(
    uid: str, customer: str, artifact: str, *patterns: str, expires_at: int | None = None
) -> EntitlementConfig:
    """One for tags of one artifact, all tags without patterns."""
    made = EntitlementConfig(uid=uid, customer_uid=customer)
    rule = TagRuleMessage(all_tags=not patterns, patterns=patterns)
    made.grants.append(EntitlementConfig.Grant(artifact_uid=artifact, tags=rule))
    if expires_at is not None:
        made.expire_time.FromSeconds(expires_at)
    return made


CLOSED = apply(
    CONFIGURATION,
    config_pb2.ConfigurationChange(
        from_revision=1,
        to_revision=2,
        organizations=[OrganizationConfig(uid="org-1", organization_id="acme", entitled_only=True)],
        customers=[
            CustomerConfig(uid="globex", organization_uid="org-1", customer_id="globex"),
            CustomerConfig(uid="initech", organization_uid="org-1", customer_id="initech"),
            CustomerConfig(uid="foreign", organization_uid="org-2", customer_id="foreign"),
        ],
        entitlements=[
            entitlement("e-1", "globex", "a", "1.2.*"),
            entitlement("e-2", "globex", "a", "2.*", expires_at=200),
            entitlement("e-3", "globex", "b", expires_at=100),
            entitlement("e-4", "initech", "a", "1.2.*"),
            # Of another organization: opens nothing.
            entitlement("e-5", "initech", "c"),
            entitlement("e-6", "initech", "gone"),
        ],
    ),
)
ONE = TagRule.of(patterns=["1.2.*"])
TWO = TagRule.of(patterns=["2.*"])


def customer(uid: str, organization: str = "org-1") -> Principal:
    """Somebody of a customer."""
    return Principal("token", "user", organization, 1, None, uid)


@pytest.mark.parametrize(
    ("who", "repository", "now", "rules"),
    [
        ("globex", "acme/app", 0, [ONE, TWO]),
        ("globex", "acme/app", 199.9, [ONE, TWO]),
        ("globex", "acme/app", 200, [ONE]),
        ("globex", "acme/app/sub", 99, [ALL_TAGS]),
        ("globex", "acme/app/sub", 100, None),
        ("globex", "acme/none", 0, None),
        ("globex", "globex/app", 0, None),
        ("initech", "acme/app", 0, [ONE]),
        ("initech", "acme/app/sub", 0, None),
        ("initech", "globex/app", 0, None),
        ("nobody", "acme/app", 0, None),
    ],
)
def test_a_customer_has_what_unexpired_entitlements_name(
    who: str, repository: str, now: float, rules: list[TagRule] | None
) -> None:
    """Together, each until its end; an artifact without any is not there."""
    found = permit(customer(who), repository, CLOSED, now)
    assert (found and found.rules) == (None if rules is None else Rules.of(rules))


def test_a_clock_may_be_put_forward_and_back() -> None:
    """What counts is the time at which is asked, whatever was asked before."""
    for now in (0, 150, 250, 99, 500, 150, 0):
        found = permit(customer("globex"), "acme/app", CLOSED, now)
        assert found is not None
        assert found.rules is Rules.of([ONE, TWO] if now < 200 else [ONE])
        assert (permit(customer("globex"), "acme/app/sub", CLOSED, now) is None) == (now >= 100)


def test_members_have_everything_of_a_closed_organization() -> None:
    """And so has everybody of an open one."""
    for principal in (Principal("token", "user", "org-1", 1, None), Principal("token", "user", "", 3, None)):
        found = permit(principal, "acme/app", CLOSED, 0)
        assert found is not None
        assert found.rules is None
    found = permit(customer("foreign", "org-2"), "globex/app", CLOSED, 0)
    assert found is not None
    assert found.rules is None


def test_a_change_is_in_force_with_the_next_request() -> None:
    """An entitlement changed, ended early, removed; other customers' stay as they were worked out."""
    assert permit(customer("globex"), "acme/app", CLOSED, 0)
    changed = apply(
        CLOSED,
        config_pb2.ConfigurationChange(
            from_revision=2,
            to_revision=3,
            entitlements=[entitlement("e-1", "globex", "a", "3.*")],
            removed_entitlement_uids=["e-2", "never-was"],
        ),
    )
    found = permit(customer("globex"), "acme/app", changed, 0)
    assert found is not None
    assert found.rules is Rules.of([TagRule.of(patterns=["3.*"])])
    assert changed.entitled["initech"] is CLOSED.entitled["initech"]
    none = apply(
        changed,
        config_pb2.ConfigurationChange(
            from_revision=3, to_revision=4, removed_entitlement_uids=["e-1", "e-3"]
        ),
    )
    # The last one is gone, and nothing opens.
    assert permit(customer("globex"), "acme/app", none, 0) is None
    assert "globex" not in none.entitled
