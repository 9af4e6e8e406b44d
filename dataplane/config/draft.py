"""Messages of the control plane to a valid configuration: all of it, or a reason and nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from dataplane.access.entitlements import Entitled, Entitlement
from dataplane.access.principal import Principal
from dataplane.config import entries
from dataplane.config.configuration import ArtifactEntry, Configuration, CustomerEntry, OrganizationEntry
from dataplane.config.entries import InvalidConfiguration
from penstock.v1 import config_pb2

__all__ = ["InvalidConfiguration", "apply", "from_message"]

# Tokens that were taken back and are still known as such.
_REMEMBERED: Final = 1000

_Message = config_pb2.Configuration | config_pb2.ConfigurationChange
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
    draft = _Draft()
    draft.put(message)
    if before is not None:
        gone = before.principals.keys() - draft.principals.keys()
        draft.revoked = {**before.revoked, **{sha256: before.principals[sha256] for sha256 in gone}}
    return draft.finish(message.revision)


def apply(old: Configuration, change: config_pb2.ConfigurationChange) -> Configuration:
    """Make the configuration that the change turns `old` into; raises InvalidConfiguration.

    Costs time for what changes, and a copy of nine dictionaries.
    """
    if change.from_revision != old.revision or change.to_revision < old.revision:
        raise InvalidConfiguration(
            f"The change leads from revision {change.from_revision} to {change.to_revision}, "
            f"and this node runs {old.revision}."
        )
    draft = _Draft(
        dict(old.organizations),
        dict(old.artifacts),
        dict(old.repositories),
        dict(old.tokens),
        dict(old.principals),
        dict(old.customers),
        dict(old.entitlements),
        dict(old.entitled),
        dict(old.revoked),
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


@dataclass(slots=True)
class _Draft:
    """The dictionaries of a Configuration while they are filled."""

    organizations: dict[str, OrganizationEntry] = field(default_factory=dict)
    artifacts: dict[str, ArtifactEntry] = field(default_factory=dict)
    repositories: dict[str, ArtifactEntry] = field(default_factory=dict)
    tokens: dict[str, bytes] = field(default_factory=dict)
    principals: dict[bytes, Principal] = field(default_factory=dict)
    customers: dict[str, CustomerEntry] = field(default_factory=dict)
    entitlements: dict[str, Entitlement] = field(default_factory=dict)
    entitled: dict[str, Entitled] = field(default_factory=dict)
    revoked: dict[bytes, Principal] = field(default_factory=dict)
    # Entitlements, by uid, of each customer for which they are not what they were.
    altered: dict[str, dict[str, Entitlement]] = field(default_factory=dict)

    def drop_organizations(self, uids: Iterable[str]) -> None:
        for uid in uids:
            self.organizations.pop(uid, None)

    def drop_customers(self, uids: Iterable[str]) -> None:
        for uid in uids:
            self.customers.pop(uid, None)

    def drop_artifacts(self, uids: Iterable[str]) -> None:
        for uid in uids:
            artifact = self.artifacts.pop(uid, None)
            if artifact is not None:
                del self.repositories[artifact.repository]

    def drop_tokens(self, uids: Iterable[str]) -> None:
        for uid in uids:
            sha256 = self.tokens.pop(uid, None)
            if sha256 is not None:
                self.revoked[sha256] = self.principals.pop(sha256)

    def drop_entitlements(self, uids: Iterable[str]) -> None:
        for uid in uids:
            entitlement = self.entitlements.pop(uid, None)
            if entitlement is not None:
                del self._altered(entitlement.customer_uid)[uid]

    def put(self, message: _Message) -> None:
        """Add entries; each needs those that it belongs to to be there."""
        for organization in message.organizations:
            self._put_organization(entries.organization(organization))
        for customer in message.customers:
            self._put_customer(entries.customer(customer))
        for artifact in message.artifacts:
            self._put_artifact(entries.artifact(artifact))
        for token in message.tokens:
            self._put_token(entries.principal(token), token.sha256)
        for entitlement in message.entitlements:
            self._put_entitlement(entries.entitlement(entitlement))

    def check_owners(self) -> None:
        """Check what hangs on organizations and customers that changed or went."""
        for customer in self.customers.values():
            self._check_customer(customer)
        for artifact in self.artifacts.values():
            self._check_artifact(artifact)
        for principal in self.principals.values():
            self._check_principal(principal)
        for uid in self.entitled.keys() - self.altered.keys():
            self._check_entitled(uid)
        for uid, entitlements in self.altered.items():
            if entitlements:
                self._check_entitled(uid)

    def finish(self, revision: int) -> Configuration:
        if revision < 1:
            raise InvalidConfiguration(f"The revision {revision} is not a positive number.")
        for customer_uid, entitlements in self.altered.items():
            self.entitled[customer_uid] = Entitled(entitlements.values())
            if not entitlements:
                del self.entitled[customer_uid]
        for sha256 in self.revoked.keys() & self.principals.keys():
            del self.revoked[sha256]
        for sha256 in list(self.revoked)[:-_REMEMBERED]:
            del self.revoked[sha256]
        return Configuration(
            revision,
            self.organizations,
            self.artifacts,
            self.repositories,
            self.tokens,
            self.principals,
            self.customers,
            self.entitlements,
            self.entitled,
            self.revoked,
        )

    def _put_organization(self, organization: OrganizationEntry) -> None:
        if organization.uid in self.organizations:
            raise InvalidConfiguration(f"The organization {organization.uid} is there twice.")
        self.organizations[organization.uid] = organization

    def _put_customer(self, customer: CustomerEntry) -> None:
        self._check_customer(customer)
        if customer.uid in self.customers:
            raise InvalidConfiguration(f"The customer {customer.uid} is there twice.")
        self.customers[customer.uid] = customer

    def _check_customer(self, customer: CustomerEntry) -> None:
        if customer.organization_uid not in self.organizations:
            raise InvalidConfiguration(
                f"The customer {customer.uid} belongs to the organization "
                f"{customer.organization_uid!r}, which is not there."
            )

    def _put_artifact(self, artifact: ArtifactEntry) -> None:
        self._check_artifact(artifact)
        if artifact.uid in self.artifacts or artifact.repository in self.repositories:
            raise InvalidConfiguration(f"The artifact {artifact.uid} ({artifact.repository}) is there twice.")
        self.artifacts[artifact.uid] = artifact
        self.repositories[artifact.repository] = artifact

    def _check_artifact(self, artifact: ArtifactEntry) -> None:
        organization = self.organizations.get(artifact.organization_uid)
        if organization is None:
            raise InvalidConfiguration(
                f"The artifact {artifact.uid} belongs to the organization "
                f"{artifact.organization_uid!r}, which is not there."
            )
        if not artifact.repository.startswith(f"{organization.organization_id}/"):
            raise InvalidConfiguration(
                f"The artifact {artifact.uid} is named {artifact.repository}, outside its organization "
                f"{organization.organization_id}."
            )

    def _put_token(self, principal: Principal, sha256: bytes) -> None:
        self._check_principal(principal)
        if principal.token_uid in self.tokens or sha256 in self.principals:
            raise InvalidConfiguration(f"The token {principal.token_uid} is there twice.")
        self.tokens[principal.token_uid] = sha256
        self.principals[sha256] = principal

    def _check_principal(self, principal: Principal) -> None:
        if principal.organization_uid and principal.organization_uid not in self.organizations:
            raise InvalidConfiguration(
                f"The token {principal.token_uid} belongs to the organization "
                f"{principal.organization_uid!r}, which is not there."
            )
        if principal.customer_uid:
            customer = self.customers.get(principal.customer_uid)
            # Whoever is taken for a member sees everything: a customer must never be.
            if customer is None or customer.organization_uid != principal.organization_uid:
                raise InvalidConfiguration(
                    f"The token {principal.token_uid} belongs to the customer {principal.customer_uid!r}, "
                    "which its organization does not have."
                )

    def _put_entitlement(self, entitlement: Entitlement) -> None:
        self._check_entitled(entitlement.customer_uid)
        if entitlement.uid in self.entitlements:
            raise InvalidConfiguration(f"The entitlement {entitlement.uid} is there twice.")
        self.entitlements[entitlement.uid] = entitlement
        self._altered(entitlement.customer_uid)[entitlement.uid] = entitlement

    def _check_entitled(self, customer_uid: str) -> None:
        if customer_uid not in self.customers:
            raise InvalidConfiguration(
                f"There are entitlements of the customer {customer_uid!r}, which is not there."
            )

    def _altered(self, customer_uid: str) -> dict[str, Entitlement]:
        if customer_uid not in self.altered:
            before = self.entitled.get(customer_uid, ())
            self.altered[customer_uid] = {entitlement.uid: entitlement for entitlement in before}
        return self.altered[customer_uid]
