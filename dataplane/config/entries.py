"""Entries of a configuration, each checked by itself: messages of the control plane to values."""

import re
from collections.abc import Callable, Iterable
from sys import intern
from typing import TypeVar

from clients.oci.pattern import InvalidPattern, TagPattern
from clients.oci.platform import InvalidPlatform, check_platform
from clients.oci.reference import InvalidReference, check_repository
from clients.oci.tag_rule import InvalidRule, TagRule
from dataplane.access.entitlements import Entitlement, Grant
from dataplane.access.principal import Principal
from dataplane.config.configuration import ArtifactEntry, CacheRules, CustomerEntry, OrganizationEntry
from penstock.v1 import config_pb2
from penstock.v1.user_pb2 import Role

# Uids become names of directories.
_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_HASH_LENGTH = 32
_NO_RULES = CacheRules()

_RuleT = TypeVar("_RuleT", TagPattern, str)

# Uids are interned where many entries name the same: a hundred thousand entitlements name a few thousand
# customers and artifacts.


class InvalidConfiguration(ValueError):
    """A configuration that contradicts itself; `str()` is one sentence that says where."""


class NotUnderstood(ValueError):
    """An entry with a value that this version does not know, and that allows nothing; `str()` says which."""


def organization(entry: config_pb2.OrganizationConfig) -> OrganizationEntry:
    """Read an organization; raises InvalidConfiguration, as all of these do."""
    _check_uid("organization", entry.uid)
    if "/" in entry.organization_id or not entry.organization_id:
        raise InvalidConfiguration(f"The organization {entry.uid} has no valid id.")
    return OrganizationEntry(intern(entry.uid), entry.organization_id, entry.entitled_only)


def customer(entry: config_pb2.CustomerConfig) -> CustomerEntry:
    """Read a customer."""
    _check_uid("customer", entry.uid)
    if not entry.customer_id:
        raise InvalidConfiguration(f"The customer {entry.uid} has no id.")
    return CustomerEntry(intern(entry.uid), intern(entry.organization_uid), entry.customer_id)


def artifact(entry: config_pb2.ArtifactConfig, passed_over: Callable[[str], None]) -> ArtifactEntry:
    """Read an artifact.

    `passed_over` is told of rules for the cache that are not understood: it is served without them.
    """
    _check_uid("artifact", entry.uid)
    try:
        check_repository(entry.repository)
    except InvalidReference as error:
        raise InvalidConfiguration(f"The artifact {entry.uid} has a malformed name: {error}") from error
    return ArtifactEntry(
        intern(entry.uid),
        intern(entry.organization_uid),
        entry.repository,
        entry.content_revision,
        _rules(entry, passed_over),
    )


def _rules(entry: config_pb2.ArtifactConfig, passed_over: Callable[[str], None]) -> CacheRules:
    if not (entry.pin_tags or entry.prefetch_tags or entry.prefetch_platforms):
        return _NO_RULES

    def known(parse: Callable[[str], _RuleT], texts: Iterable[str]) -> tuple[_RuleT, ...]:
        rules = []
        for text in texts:
            try:
                rules.append(parse(text))
            except (InvalidPattern, InvalidPlatform) as error:
                passed_over(f"The artifact {entry.uid} is served without a rule for the cache: {error}")
        return tuple(rules)

    pin_tags = known(TagPattern.parse, entry.pin_tags)
    platforms = known(check_platform, entry.prefetch_platforms)
    if entry.prefetch_platforms and not platforms:
        # Without any, the tags alone would have all platforms fetched.
        return CacheRules(pin_tags)
    return CacheRules(pin_tags, known(TagPattern.parse, entry.prefetch_tags), platforms)


def principal(entry: config_pb2.TokenConfig) -> Principal:
    """Read the owner of a token; raises NotUnderstood as well."""
    _check_uid("token", entry.uid)
    if len(entry.sha256) != _HASH_LENGTH:
        raise InvalidConfiguration(f"The token {entry.uid} has a hash that is not SHA-256.")
    if entry.role == Role.ROLE_UNSPECIFIED:
        raise InvalidConfiguration(f"The token {entry.uid} has no role.")
    if entry.role not in Role.values():
        raise NotUnderstood(f"The token {entry.uid} has the unknown role {entry.role}.")
    return Principal(
        entry.uid,
        intern(entry.user_uid),
        intern(entry.organization_uid),
        int(entry.role),
        _end(entry),
        intern(entry.customer_uid),
    )


def entitlement(entry: config_pb2.EntitlementConfig) -> Entitlement:
    """Read an entitlement; raises NotUnderstood as well.

    One without grants, or for an artifact that is not there, opens nothing.
    """
    _check_uid("entitlement", entry.uid)
    try:
        grants = tuple(
            Grant(
                intern(grant.artifact_uid),
                TagRule.of(
                    all_tags=grant.tags.all_tags,
                    patterns=grant.tags.patterns,
                    version_ranges=grant.tags.version_ranges,
                ),
            )
            for grant in entry.grants
        )
    except InvalidRule as error:
        # What is left of a rule without its unknown parts may name more than the whole.
        raise NotUnderstood(f"The entitlement {entry.uid} has a rule that cannot be used: {error}") from error
    return Entitlement(entry.uid, intern(entry.customer_uid), grants, _end(entry))


def _check_uid(kind: str, uid: str) -> None:
    if not _UID.fullmatch(uid):
        raise InvalidConfiguration(f"The uid {uid[:80]!r} ({kind}) is malformed.")


def _end(entry: config_pb2.TokenConfig | config_pb2.EntitlementConfig) -> float | None:
    if not entry.HasField("expire_time"):
        return None
    return entry.expire_time.seconds + entry.expire_time.nanos / 1e9
