"""Messages of the control plane to a valid configuration: all of it, or a reason and nothing."""

from collections.abc import Iterable

from dataplane.config.configuration import Configuration
from dataplane.config.dictionaries import Draft
from dataplane.config.entries import InvalidConfiguration
from penstock.v1 import config_pb2

__all__ = ["InvalidConfiguration", "apply", "from_message"]

_Entry = (
    config_pb2.OrganizationConfig
    | config_pb2.ArtifactConfig
    | config_pb2.TokenConfig
    | config_pb2.CustomerConfig
    | config_pb2.EntitlementConfig
)


def from_message(message: config_pb2.Configuration, before: Configuration | None = None) -> Configuration:
    """Make a configuration of a whole message; raises InvalidConfiguration.

    Tokens that were good `before` and are not in it were taken back, as those are that a change takes away.
    """
    draft = Draft()
    draft.put(message)
    if before is not None:
        gone = before.principals.keys() - draft.principals.keys()
        draft.revoked = {**before.revoked, **{sha256: before.principals[sha256] for sha256 in gone}}
    return draft.finish(message.revision)


def apply(old: Configuration, change: config_pb2.ConfigurationChange) -> Configuration:
    """Make the configuration that the change turns `old` into; raises InvalidConfiguration.

    Costs time for what changes, and a copy of ten dictionaries.
    """
    if change.from_revision != old.revision or change.to_revision < old.revision:
        raise InvalidConfiguration(
            f"The change leads from revision {change.from_revision} to {change.to_revision}, "
            f"and this node runs {old.revision}."
        )
    draft = Draft(
        dict(old.organizations),
        dict(old.artifacts),
        dict(old.repositories),
        dict(old.tokens),
        dict(old.principals),
        dict(old.customers),
        dict(old.entitlements),
        dict(old.entitled),
        dict(old.revoked),
        dict(old.passed_over),
    )
    # What is replaced goes first, so that two artifacts may exchange their names.
    draft.drop_organizations((*change.removed_organization_uids, *_uids(change.organizations)))
    draft.drop_customers((*change.removed_customer_uids, *_uids(change.customers)))
    draft.drop_artifacts((*change.removed_artifact_uids, *_uids(change.artifacts)))
    draft.drop_tokens((*change.removed_token_uids, *_uids(change.tokens)))
    draft.drop_entitlements((*change.removed_entitlement_uids, *_uids(change.entitlements)))
    draft.put(change)
    if (
        change.organizations
        or change.removed_organization_uids
        or change.customers
        or change.removed_customer_uids
    ):
        draft.check_owners()
    return draft.finish(change.to_revision)


def _uids(listed: Iterable[_Entry]) -> tuple[str, ...]:
    return tuple(entry.uid for entry in listed)
