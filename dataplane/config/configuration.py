"""The configuration that a node runs: a frozen value, valid from birth."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from dataplane.access.entitlements import Entitled, Entitlement
from dataplane.access.principal import Principal
from penstock.v1 import config_pb2, entitlement_pb2
from penstock.v1.user_pb2 import Role


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
class ArtifactEntry:
    """One artifact, as far as serving it goes."""

    uid: str
    organization_uid: str
    repository: str
    """The whole name that clients use: `acme/team/app`."""
    content_revision: int
    """What was resolved under an older one is stale."""


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
    revoked: Mapping[bytes, str] = field(repr=False, compare=False)
    """Uids of tokens that were taken back lately, by their SHA-256, as far as this process saw it."""

    def message(self) -> config_pb2.Configuration:
        """Give the message that `draft.from_message` takes."""
        return config_pb2.Configuration(
            revision=self.revision,
            organizations=[
                config_pb2.OrganizationConfig(
                    uid=organization.uid,
                    organization_id=organization.organization_id,
                    entitled_only=organization.entitled_only,
                )
                for organization in self.organizations.values()
            ],
            artifacts=[
                config_pb2.ArtifactConfig(
                    uid=artifact.uid,
                    organization_uid=artifact.organization_uid,
                    repository=artifact.repository,
                    content_revision=artifact.content_revision,
                )
                for artifact in self.artifacts.values()
            ],
            tokens=[_token(sha256, principal) for sha256, principal in self.principals.items()],
            customers=[
                config_pb2.CustomerConfig(
                    uid=customer.uid,
                    organization_uid=customer.organization_uid,
                    customer_id=customer.customer_id,
                )
                for customer in self.customers.values()
            ],
            entitlements=[_entitlement(entitlement) for entitlement in self.entitlements.values()],
        )


def _token(sha256: bytes, principal: Principal) -> config_pb2.TokenConfig:
    return config_pb2.TokenConfig(
        uid=principal.token_uid,
        sha256=sha256,
        organization_uid=principal.organization_uid,
        user_uid=principal.user_uid,
        role=Role.ValueType(principal.role),
        expire_time=_timestamp(principal.expires_at),
        customer_uid=principal.customer_uid,
    )


def _entitlement(entitlement: Entitlement) -> config_pb2.EntitlementConfig:
    return config_pb2.EntitlementConfig(
        uid=entitlement.uid,
        customer_uid=entitlement.customer_uid,
        grants=[
            config_pb2.EntitlementConfig.Grant(
                artifact_uid=grant.artifact_uid,
                tags=entitlement_pb2.TagRule(
                    all_tags=grant.rule.all_tags,
                    patterns=grant.rule.patterns,
                    version_ranges=grant.rule.version_ranges,
                ),
            )
            for grant in entitlement.grants
        ],
        expire_time=_timestamp(entitlement.expires_at),
    )


def _timestamp(moment: float | None) -> Timestamp | None:
    if moment is None:
        return None
    stamp = Timestamp()
    stamp.FromMicroseconds(round(moment * 1e6))
    return stamp
