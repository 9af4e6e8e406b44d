"""Configurations: valid as a whole, or refused with a reason and nothing changed."""

from collections.abc import Callable

import pytest

from dataplane.config.draft import InvalidConfiguration, apply, from_message
from dataplane.config.encode import encode
from penstock.v1.config_pb2 import (
    ArtifactConfig,
    Configuration,
    ConfigurationChange,
    CustomerConfig,
    EntitlementConfig,
    OrganizationConfig,
    TokenConfig,
)
from penstock.v1.entitlement_pb2 import TagRule
from penstock.v1.user_pb2 import Role


def token(uid: str = "token-1", number: int = 1, organization: str = "org-1", role: int = 1) -> TokenConfig:
    """A token's entry."""
    return TokenConfig(
        uid=uid,
        sha256=bytes([number]) * 32,
        organization_uid=organization,
        user_uid="user-1",
        role=Role.ValueType(role),
    )


def artifact(uid: str = "art-1", repository: str = "acme/app", organization: str = "org-1") -> ArtifactConfig:
    """An artifact's entry."""
    return ArtifactConfig(uid=uid, organization_uid=organization, repository=repository, content_revision=1)


def message() -> Configuration:
    """A configuration that is right."""
    return Configuration(
        revision=5,
        organizations=[
            OrganizationConfig(uid="org-1", organization_id="acme"),
            OrganizationConfig(uid="org-2", organization_id="globex"),
        ],
        artifacts=[artifact(), artifact("art-2", "acme/team/app"), artifact("art-3", "globex/app", "org-2")],
        tokens=[token(), token("token-2", 2, "org-2", 3), token("token-3", 3, "", 3), of_customer()],
        customers=[CustomerConfig(uid="cus-1", organization_uid="org-1", customer_id="globex")],
        entitlements=[entitlement()],
    )


def of_customer(uid: str = "token-4", customer: str = "cus-1") -> TokenConfig:
    """The entry of a customer's token."""
    made = token(uid, 4)
    made.customer_uid = customer
    return made


def entitlement(uid: str = "ent-1", customer: str = "cus-1") -> EntitlementConfig:
    """An entitlement's entry."""
    made = EntitlementConfig(uid=uid, customer_uid=customer)
    made.grants.add(artifact_uid="art-1", tags=TagRule(patterns=["1.*"], version_ranges=[">=2 <3"]))
    made.grants.add(artifact_uid="art-2", tags=TagRule(all_tags=True))
    made.expire_time.FromNanoseconds(1_795_000_000_500_000_000)
    return made


def test_a_message_becomes_dictionaries() -> None:
    """By what requests bring: the hash of a token, the name of a repository."""
    made = message()
    made.tokens[0].expire_time.FromNanoseconds(1_500_000_000)
    configuration = from_message(made)
    assert configuration.revision == 5
    assert configuration.repositories["acme/team/app"].uid == "art-2"
    principal = configuration.principals[b"\x01" * 32]
    assert (principal.organization_uid, principal.role, principal.expires_at) == ("org-1", 1, 1.5)
    assert configuration.principals[b"\x03" * 32].organization_uid == ""


def test_a_configuration_can_be_written_down() -> None:
    """What it writes makes it again."""
    made = message()
    made.tokens[0].expire_time.FromNanoseconds(1_795_000_000_250_000_000)
    configuration = from_message(made)
    assert from_message(Configuration.FromString(encode(configuration))) == configuration


def change(**parts: object) -> ConfigurationChange:
    """A change from the revision of `message`."""
    return ConfigurationChange(from_revision=5, to_revision=6, **parts)  # type: ignore[arg-type]


def test_a_change_replaces_adds_and_removes() -> None:
    """And what it does not name stays."""
    moved = artifact()
    moved.content_revision = 9
    old = from_message(message())
    new = apply(
        old,
        change(
            organizations=[OrganizationConfig(uid="org-3", organization_id="initech")],
            artifacts=[moved, artifact("art-4", "initech/x", "org-3")],
            tokens=[token("token-1", 9, "org-1", 3)],
            removed_artifact_uids=["art-2", "never-was"],
            removed_token_uids=["token-3"],
        ),
    )
    assert new.revision == 6
    assert sorted(new.repositories) == ["acme/app", "globex/app", "initech/x"]
    assert new.repositories["acme/app"].content_revision == 9
    assert sorted(new.principals) == [b"\x02" * 32, b"\x04" * 32, b"\x09" * 32]
    # The one before is as it was.
    assert old.repositories["acme/app"].content_revision == 1
    assert from_message(Configuration.FromString(encode(old))) == old


def test_two_artifacts_may_exchange_their_names() -> None:
    """In one change, whose order does not matter."""
    new = apply(
        from_message(message()),
        change(artifacts=[artifact("art-1", "acme/team/app"), artifact("art-2", "acme/app")]),
    )
    assert {name: entry.uid for name, entry in new.repositories.items()} == {
        "acme/team/app": "art-1",
        "acme/app": "art-2",
        "globex/app": "art-3",
    }


def test_an_organization_may_go_with_all_it_had() -> None:
    """Artifacts and tokens in the same change."""
    new = apply(
        from_message(message()),
        change(
            removed_organization_uids=["org-2"],
            removed_artifact_uids=["art-3"],
            removed_token_uids=["token-2"],
        ),
    )
    assert "globex/app" not in new.repositories
    assert sorted(new.organizations) == ["org-1"]


def test_a_customer_may_go_with_all_it_had() -> None:
    """Tokens and entitlements in the same change; its artifacts stay."""
    new = apply(
        from_message(message()),
        change(
            removed_customer_uids=["cus-1"],
            removed_entitlement_uids=["ent-1"],
            removed_token_uids=["token-4"],
        ),
    )
    assert (new.customers, new.entitlements, new.entitled) == ({}, {}, {})
    assert "acme/app" in new.repositories


def test_an_artifact_may_go_before_what_names_it() -> None:
    """An entitlement for something that is not there opens nothing, and stands in nobody's way."""
    new = apply(from_message(message()), change(removed_artifact_uids=["art-1"]))
    assert "ent-1" in new.entitlements


def test_a_token_that_was_taken_back_is_known_as_such() -> None:
    """One whose role changed is not taken back; the oldest are forgotten."""
    new = apply(
        from_message(message()),
        change(removed_token_uids=["token-3"], tokens=[token("token-2", 2, "org-2", 1)]),
    )
    assert {key: owner.token_uid for key, owner in new.revoked.items()} == {b"\x03" * 32: "token-3"}
    for number in range(1000):
        revision = new.revision
        uid = f"t-{number}"
        entry = token(uid)
        entry.sha256 = number.to_bytes(32, "big")
        for parts in ({"tokens": [entry]}, {"removed_token_uids": [uid]}):
            step = ConfigurationChange(from_revision=revision, to_revision=revision + 1, **parts)  # type: ignore[arg-type]
            new, revision = apply(new, step), revision + 1
    assert len(new.revoked) == 1000
    assert b"\x03" * 32 not in new.revoked


Break = Callable[[Configuration], object]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda m: setattr(m, "revision", 0), "revision 0"),
        (lambda m: setattr(m.organizations[0], "organization_id", ""), "org-1"),
        (lambda m: setattr(m.organizations[0], "organization_id", "acme/x"), "org-1"),
        (lambda m: setattr(m.organizations[0], "uid", ""), "uid ''"),
        (lambda m: setattr(m.organizations[1], "uid", "org-1"), "twice"),
        (lambda m: setattr(m.artifacts[0], "uid", "../../etc"), "malformed"),
        (lambda m: setattr(m.artifacts[0], "uid", "art-2"), "twice"),
        (lambda m: setattr(m.artifacts[0], "repository", "acme/team/app"), "twice"),
        (lambda m: setattr(m.artifacts[0], "repository", "acme/Team"), "malformed name"),
        (lambda m: setattr(m.artifacts[0], "repository", "globex/x"), "outside its organization"),
        (lambda m: setattr(m.artifacts[0], "repository", "acmeapp"), "outside its organization"),
        (lambda m: setattr(m.artifacts[0], "organization_uid", "org-9"), "org-9"),
        (lambda m: setattr(m.artifacts[0], "organization_uid", ""), "not there"),
        (lambda m: setattr(m.tokens[0], "sha256", b"short"), "SHA-256"),
        (lambda m: setattr(m.tokens[0], "sha256", b"\x02" * 32), "twice"),
        (lambda m: setattr(m.tokens[0], "uid", "token-2"), "twice"),
        (lambda m: setattr(m.tokens[0], "uid", "a b"), "malformed"),
        (lambda m: setattr(m.tokens[0], "role", 0), "no role"),
        (lambda m: setattr(m.tokens[0], "organization_uid", "org-9"), "org-9"),
        (lambda m: setattr(m.customers[0], "uid", "../x"), "malformed"),
        (lambda m: setattr(m.customers[0], "customer_id", ""), "cus-1"),
        (lambda m: setattr(m.customers[0], "organization_uid", "org-9"), "org-9"),
        (lambda m: setattr(m.tokens[3], "customer_uid", "cus-9"), "cus-9"),
        (lambda m: setattr(m.tokens[1], "customer_uid", "cus-1"), "does not have"),
        (lambda m: setattr(m.tokens[2], "customer_uid", "cus-1"), "does not have"),
        (lambda m: setattr(m.entitlements[0], "uid", ""), "malformed"),
        (lambda m: setattr(m.entitlements[0], "customer_uid", "cus-9"), "cus-9"),
        (lambda m: m.entitlements.append(entitlement()), "twice"),
        (lambda m: m.customers.append(m.customers[0]), "twice"),
    ],
)
def test_a_message_that_contradicts_itself_is_refused(damage: Break, words: str) -> None:
    """With a sentence that says where."""
    damaged = message()
    damage(damaged)
    with pytest.raises(InvalidConfiguration, match=words):
        from_message(damaged)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (ConfigurationChange(from_revision=4, to_revision=6), "from revision 4"),
        (ConfigurationChange(from_revision=5, to_revision=4), "to 4"),
        (change(removed_organization_uids=["org-2"]), "org-2"),
        (change(organizations=[OrganizationConfig(uid="org-1", organization_id="other")]), "outside"),
        (change(artifacts=[artifact("art-9", "acme/app")]), "twice"),
        (change(artifacts=[artifact("art-9", "acme/new"), artifact("art-9", "acme/newer")]), "twice"),
        (change(tokens=[token("token-9", 2)]), "twice"),
        (change(tokens=[token("token-9", 9, "org-9")]), "org-9"),
        (change(tokens=[of_customer("token-9", "cus-9")]), "cus-9"),
        (change(removed_customer_uids=["cus-1"]), "token-4"),
        (change(removed_customer_uids=["cus-1"], removed_token_uids=["token-4"]), "entitlements"),
        (change(removed_customer_uids=["cus-1"], removed_entitlement_uids=["ent-1"]), "token-4"),
        (change(entitlements=[entitlement("ent-2", "cus-9")]), "cus-9"),
        (change(customers=[CustomerConfig(uid="cus-1", organization_uid="org-2", customer_id="x")]), "cus-1"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(wrong: ConfigurationChange, words: str) -> None:
    """And what was in force stays as it was."""
    old = from_message(message())
    with pytest.raises(InvalidConfiguration, match=words):
        apply(old, wrong)
    assert old == from_message(message())
