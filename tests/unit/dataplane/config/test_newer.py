"""Configurations of a control plane that is newer than its nodes: they go on, and give no more for it."""

from collections.abc import Callable

import pytest
from google.protobuf.message import Message

from dataplane.access.authorize import permit
from dataplane.config import configuration, draft
from dataplane.config.draft import InvalidConfiguration
from penstock.v1.config_pb2 import Configuration, ConfigurationChange, EntitlementConfig
from penstock.v1.entitlement_pb2 import TagRule
from tests.unit.dataplane.config.test_draft import artifact, change, entitlement, message, of_customer, token

REQUIRED = 99
PASSED_OVER = 100


def newer(entry: Message, number: int = REQUIRED) -> None:
    """Gives an entry a field that this version does not have."""
    tag = number << 3
    entry.MergeFromString(bytes([tag & 0x7F | 0x80, tag >> 7, 1]))


def closed() -> Configuration:
    """A configuration whose customer gets what the entitlement names, of an organization that is closed."""
    made = message()
    made.organizations[0].entitled_only = True
    return made


def allowed(running: configuration.Configuration, tag: str = "1.5") -> bool:
    """Whether the customer may have this tag of acme/app."""
    principal = running.principals[b"\x04" * 32]
    found = permit(principal, "acme/app", running, 1_700_000_000)
    return found is not None and found.rules is not None and found.rules.match(tag)


Add = Callable[[Configuration], object]


@pytest.mark.parametrize(
    "add",
    [
        lambda m: newer(m.artifacts[0], PASSED_OVER),
        lambda m: newer(m.tokens[3], PASSED_OVER),
        lambda m: newer(m.organizations[0], PASSED_OVER),
        lambda m: newer(m.customers[0], PASSED_OVER),
        lambda m: newer(m.entitlements[0].grants[0].tags, PASSED_OVER),
        lambda m: newer(m, PASSED_OVER),
    ],
)
def test_fields_that_may_be_passed_over_are(add: Add) -> None:
    """They change nothing of who may have what."""
    made = closed()
    add(made)
    running = draft.from_message(made)
    assert allowed(running)
    assert not allowed(running, "9")
    assert running.passed_over == {}


def test_rules_for_the_cache_that_are_not_understood() -> None:
    """The artifact is served; rules that are understood hold, and nothing more is fetched than was wanted."""
    made = closed()
    made.artifacts[0].pin_tags.extend(["1.*", "{newest}", "2.*"])
    made.artifacts[1].prefetch_tags.append("*")
    made.artifacts[1].prefetch_platforms.append("linux/amd64 >= v3")
    made.artifacts[2].prefetch_platforms.extend(["linux/amd64", "linux/amd64 >= v3"])
    running = draft.from_message(made)
    assert [str(each) for each in running.artifacts["art-1"].cache.pin_tags] == ["1.*", "2.*"]
    assert not running.artifacts["art-2"].cache.prefetch_tags
    assert running.artifacts["art-3"].cache.prefetch_platforms == ("linux/amd64",)
    assert running.passed_over.keys() == {"art-1", "art-2", "art-3"}
    assert "{newest}" in running.passed_over["art-1"]
    assert allowed(running)


@pytest.mark.parametrize(
    "narrow",
    [
        lambda e: newer(e),
        lambda e: newer(e.grants[0]),
        lambda e: newer(e.grants[0].tags),
        # What is left of them names less than all, or more.
        lambda e: e.grants[0].tags.patterns.append("!1.5"),
        lambda e: e.grants[0].tags.version_ranges.append("stable"),
        lambda e: e.grants[0].tags.Clear(),
        lambda e: e.grants[1].tags.patterns.append("1.*"),
    ],
)
def test_an_entitlement_that_is_not_understood_allows_nothing(
    narrow: Callable[[EntitlementConfig], object],
) -> None:
    """Others of the same customer do, and a later one that is understood takes its place."""
    made = closed()
    narrow(made.entitlements[0])
    other = entitlement("ent-2")
    other.grants[0].tags.CopyFrom(TagRule(patterns=["3.*"]))
    made.entitlements.append(other)
    running = draft.from_message(made)
    assert not allowed(running)
    assert allowed(running, "3.1")
    assert running.passed_over.keys() == {"ent-1"}
    later = draft.apply(running, change(entitlements=[entitlement()]))
    assert allowed(later)
    assert later.passed_over == {}
    assert draft.apply(running, change(removed_entitlement_uids=["ent-1"])).passed_over == {}


@pytest.mark.parametrize("narrow", [newer, lambda t: setattr(t, "role", 77)])
def test_a_token_that_is_not_understood_is_refused(narrow: Callable[[Message], object]) -> None:
    """A role that is not known may be one that pulls nothing; all other tokens are good."""
    made = closed()
    narrow(made.tokens[0])
    running = draft.from_message(made, draft.from_message(closed()))
    assert running.principals.keys() == {b"\x02" * 32, b"\x03" * 32, b"\x04" * 32}
    assert "token-1" in running.passed_over["token-1"]
    later = draft.apply(running, change(tokens=[token()]))
    assert b"\x01" * 32 in later.principals
    assert later.passed_over == {}


def test_an_artifact_that_is_not_understood_is_not_served() -> None:
    """Also when it was served before; what names it opens nothing, and its name is free."""
    hidden = artifact()
    newer(hidden)
    running = draft.apply(draft.from_message(closed()), change(artifacts=[hidden]))
    assert "acme/app" not in running.repositories
    assert "acme/team/app" in running.repositories
    assert not allowed(running)
    later = draft.apply(
        running, ConfigurationChange(from_revision=6, to_revision=7, removed_artifact_uids=["art-1"])
    )
    assert later.passed_over == {}


@pytest.mark.parametrize(
    "narrow",
    [lambda m: newer(m), lambda m: newer(m.organizations[0]), lambda m: newer(m.customers[0])],
)
def test_what_may_concern_everybody_is_refused(narrow: Add) -> None:
    """With a sentence that says what to do."""
    made = closed()
    narrow(made)
    with pytest.raises(InvalidConfiguration, match=r"a field 99 of a newer version.*update this node"):
        draft.from_message(made)
    step = change(organizations=made.organizations[:1], customers=made.customers, tokens=[of_customer()])
    newer(step)
    with pytest.raises(InvalidConfiguration, match="update this node"):
        draft.apply(draft.from_message(closed()), step)
