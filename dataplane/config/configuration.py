"""The configuration that a node runs: a frozen value, valid from birth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from clients.oci.pattern import TagPattern
from dataplane.access.entitlements import Entitled, Entitlement
from dataplane.access.principal import Principal


@dataclass(frozen=True, slots=True)
class OrganizationEntry:
    """One organization."""

    uid: str
    organization_id: str
    """First component of repository names: `acme`."""
    entitled_only: bool
    """Whether customers see only what they are entitled to."""


@dataclass(frozen=True, slots=True)
class CustomerEntry:
    """One customer of an organization."""

    uid: str
    organization_uid: str
    customer_id: str


@dataclass(frozen=True, slots=True)
class CacheRules:
    """What a node keeps of an artifact, and fetches before anybody asks; see CachePolicy of the API."""

    pin_tags: tuple[TagPattern, ...] = ()
    prefetch_tags: tuple[TagPattern, ...] = ()
    prefetch_platforms: tuple[str, ...] = ()


_NO_RULES: Final = CacheRules()


@dataclass(frozen=True, slots=True)
class ArtifactEntry:
    """One artifact, as far as serving it goes."""

    uid: str
    organization_uid: str
    repository: str
    """The whole name that clients use: `acme/team/app`."""
    content_revision: int
    """What was resolved under an older one is stale."""
    cache: CacheRules = _NO_RULES


@dataclass(frozen=True, slots=True)
class Configuration:
    """Who may pull what, at one revision; made by `dataplane.config.draft`, which validates all of it."""

    revision: int
    organizations: Mapping[str, OrganizationEntry] = field(repr=False)
    """By uid."""
    artifacts: Mapping[str, ArtifactEntry] = field(repr=False)
    """By uid."""
    repositories: Mapping[str, ArtifactEntry] = field(repr=False)
    """The same by repository name."""
    tokens: Mapping[str, bytes] = field(repr=False)
    """SHA-256 of tokens, by their uid."""
    principals: Mapping[bytes, Principal] = field(repr=False)
    """Owners of tokens, by the SHA-256 of the token."""
    customers: Mapping[str, CustomerEntry] = field(repr=False)
    """By uid."""
    entitlements: Mapping[str, Entitlement] = field(repr=False)
    """By uid, ended ones included."""
    entitled: Mapping[str, Entitled] = field(repr=False, compare=False)
    """The same by the uid of their customer, for those that have any."""
    revoked: Mapping[bytes, Principal] = field(repr=False, compare=False)
    """Owners of tokens that were taken back lately, by their SHA-256, as far as this process saw it."""
    passed_over: Mapping[str, str] = field(repr=False, compare=False)
    """What this version does not understand, and goes on without: sentences, by the uid of the entry."""
