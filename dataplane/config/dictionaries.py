"""The dictionaries of a configuration while they are filled, by what one entry needs of the others."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from dataplane.access.entitlements import Entitled, Entitlement
from dataplane.access.principal import Principal
from dataplane.config import entries
from dataplane.config.configuration import ArtifactEntry, Configuration, CustomerEntry, OrganizationEntry
from dataplane.config.entries import InvalidConfiguration, NotUnderstood
from dataplane.config.newer import not_understood
from penstock.v1 import config_pb2

# Tokens that were taken back and are still known as such.
_REMEMBERED: Final = 1000


@dataclass(slots=True)
class Draft:
    """A Configuration while it is made; what speaks against it raises InvalidConfiguration."""

    organizations: dict[str, OrganizationEntry] = field(default_factory=dict)
    artifacts: dict[str, ArtifactEntry] = field(default_factory=dict)
    repositories: dict[str, ArtifactEntry] = field(default_factory=dict)
    tokens: dict[str, bytes] = field(default_factory=dict)
    principals: dict[bytes, Principal] = field(default_factory=dict)
    customers: dict[str, CustomerEntry] = field(default_factory=dict)
    entitlements: dict[str, Entitlement] = field(default_factory=dict)
    entitled: dict[str, Entitled] = field(default_factory=dict)
    revoked: dict[bytes, Principal] = field(default_factory=dict)
    passed_over: dict[str, str] = field(default_factory=dict)
    # Entitlements, by uid, of each customer for which they are not what they were.
    altered: dict[str, dict[str, Entitlement]] = field(default_factory=dict)

    def drop_organizations(self, uids: Iterable[str]) -> None:
        """Take out those of these uids that are there."""
        for uid in uids:
            self.organizations.pop(uid, None)

    def drop_customers(self, uids: Iterable[str]) -> None:
        """Take out those of these uids that are there."""
        for uid in uids:
            self.customers.pop(uid, None)

    def drop_artifacts(self, uids: Iterable[str]) -> None:
        """Take out those of these uids that are there."""
        for uid in uids:
            self.passed_over.pop(uid, None)
            artifact = self.artifacts.pop(uid, None)
            if artifact is not None:
                del self.repositories[artifact.repository]

    def drop_tokens(self, uids: Iterable[str]) -> None:
        """Take out those of these uids that are there, and remember them as taken back."""
        for uid in uids:
            self.passed_over.pop(uid, None)
            sha256 = self.tokens.pop(uid, None)
            if sha256 is not None:
                self.revoked[sha256] = self.principals.pop(sha256)

    def drop_entitlements(self, uids: Iterable[str]) -> None:
        """Take out those of these uids that are there."""
        for uid in uids:
            self.passed_over.pop(uid, None)
            entitlement = self.entitlements.pop(uid, None)
            if entitlement is not None:
                del self._altered(entitlement.customer_uid)[uid]

    def put(self, message: config_pb2.Configuration | config_pb2.ConfigurationChange) -> None:
        """Add entries; each needs those that it belongs to to be there.

        One that is not understood is left out: none is there to take away what another allows.
        """
        left_out = not_understood(message)
        self.passed_over |= left_out
        for organization in message.organizations:
            self._put_organization(entries.organization(organization))
        for customer in message.customers:
            self._put_customer(entries.customer(customer))
        for artifact in message.artifacts:
            if artifact.uid not in left_out:
                note = partial(self.passed_over.__setitem__, artifact.uid)
                self._put_artifact(entries.artifact(artifact, note))
        for token in message.tokens:
            if token.uid not in left_out:
                try:
                    self._put_token(entries.principal(token), token.sha256)
                except NotUnderstood as error:
                    self.passed_over[token.uid] = str(error)
        for entitlement in message.entitlements:
            if entitlement.uid not in left_out:
                try:
                    self._put_entitlement(entries.entitlement(entitlement))
                except NotUnderstood as error:
                    self.passed_over[entitlement.uid] = str(error)

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
        """Give what was made, under its revision."""
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
            self.passed_over,
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
