"""A configuration as bytes, which `draft.from_message` makes a configuration of again."""

from collections.abc import Iterator
from typing import Final
from weakref import WeakKeyDictionary

from google.protobuf.timestamp_pb2 import Timestamp

from dataplane.access.entitlements import Entitled, Entitlement
from dataplane.access.principal import Principal
from dataplane.config.configuration import Configuration
from penstock.v1 import config_pb2, entitlement_pb2
from penstock.v1.user_pb2 import Role

# A change concerns few customers: what the others have is encoded already.
_ENCODED: Final[WeakKeyDictionary[Entitled, bytes]] = WeakKeyDictionary()


def encode(configuration: Configuration) -> bytes:
    """Give the bytes of a penstock.v1.Configuration.

    The first time takes as long as there are entitlements, later ones as long as there is anything else.
    """
    return b"".join(_pieces(configuration))


def _pieces(configuration: Configuration) -> Iterator[bytes]:
    # Messages of one type, one behind the other, are one message that has it all.
    yield _names(configuration).SerializeToString()
    for entitled in configuration.entitled.values():
        encoded = _ENCODED.get(entitled)
        if encoded is None:
            entitlements = [_entitlement(entitlement) for entitlement in entitled]
            encoded = config_pb2.Configuration(entitlements=entitlements).SerializeToString()
            _ENCODED[entitled] = encoded
        yield encoded


def _names(configuration: Configuration) -> config_pb2.Configuration:
    return config_pb2.Configuration(
        revision=configuration.revision,
        organizations=[
            config_pb2.OrganizationConfig(
                uid=organization.uid,
                organization_id=organization.organization_id,
                entitled_only=organization.entitled_only,
            )
            for organization in configuration.organizations.values()
        ],
        artifacts=[
            config_pb2.ArtifactConfig(
                uid=artifact.uid,
                organization_uid=artifact.organization_uid,
                repository=artifact.repository,
                content_revision=artifact.content_revision,
                pin_tags=map(str, artifact.cache.pin_tags),
                prefetch_tags=map(str, artifact.cache.prefetch_tags),
                prefetch_platforms=artifact.cache.prefetch_platforms,
            )
            for artifact in configuration.artifacts.values()
        ],
        tokens=[_token(sha256, principal) for sha256, principal in configuration.principals.items()],
        customers=[
            config_pb2.CustomerConfig(
                uid=customer.uid,
                organization_uid=customer.organization_uid,
                customer_id=customer.customer_id,
            )
            for customer in configuration.customers.values()
        ],
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
