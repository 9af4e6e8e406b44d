"""Where an artifact comes from and what its upstream is shown: read from requests, and looked after."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.trust import check_certificates
from clients.oci.upstream import Upstream
from controlplane.api import find
from controlplane.api.caller import caller
from controlplane.api.errors import denied, not_found
from controlplane.api.upstreams import FIELD, Upstreams
from controlplane.api.validation import Violations
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.locks import Hold, lock
from controlplane.model.naming import CredentialName
from controlplane.model.roles import Role
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.model.tables import Organization
from controlplane.model.upstream_tables import Credential
from controlplane.upstream.access import Target, upstream_of
from controlplane.upstream.credentials import Credentials
from penstock.v1 import artifact_pb2 as pb

FIELDS = frozenset({"upstream", "plain_http", "credential", "ca_certificates"})
"""Of an artifact: a change of one is checked with the upstream, and starts a sync."""


@dataclass(frozen=True, slots=True)
class Source:
    """The columns of an artifact that say where it comes from."""

    upstream: Upstream
    credential_id: int | None = None
    ca_certificates: str = ""

    @classmethod
    def of(cls, row: Artifact) -> Self:
        """Read them from a row."""
        return cls(upstream_of(row), row.credential_id, row.ca_certificates)

    def write(self, row: Artifact) -> None:
        """Put them into a row."""
        row.upstream, row.plain_http = str(self.upstream), self.upstream.plain_http
        row.credential_id, row.ca_certificates = self.credential_id, self.ca_certificates


class Sources:
    """Reads sources from requests, and tries them."""

    def __init__(self, database: Database, upstreams: Upstreams, credentials: Credentials) -> None:
        self._database = database
        self._upstreams = upstreams
        self._credentials = credentials

    def upstream(self, given: pb.Artifact, violations: Violations) -> Upstream:
        """Read the upstream that a request names."""
        plain_http = given.plain_http
        return violations.check(
            FIELD, lambda text: self._upstreams.parse(text, plain_http=plain_http), given.upstream
        )

    async def wanted(
        self, slug: str, given: pb.Artifact, fields: Collection[str], before: Artifact | None
    ) -> Source:
        """Read what a request makes of a source: `fields` of it, and the rest as it was `before`.

        Raises ApiError: INVALID_ARGUMENT, NOT_FOUND for a credential that the organization has not, and
        PERMISSION_DENIED where the caller may not send that there.
        """
        old = pb.Artifact()
        if before is not None:
            old.upstream, old.plain_http = before.upstream, before.plain_http
            old.ca_certificates = before.ca_certificates
        with Violations() as violations:
            merged = pb.Artifact(
                upstream=(given if "upstream" in fields else old).upstream,
                plain_http=(given if "plain_http" in fields else old).plain_http,
            )
            upstream = self.upstream(merged, violations)
            certificates = violations.check(
                "artifact.ca_certificates",
                check_certificates,
                (given if "ca_certificates" in fields else old).ca_certificates,
            )
            name = None
            if "credential" in fields and given.credential:
                name = violations.check("artifact.credential", CredentialName.parse, given.credential)
                if name is not None and name.organization != slug:
                    violations.add("artifact.credential", f"must be one of organizations/{slug}.")
        kept = before.credential_id if before is not None and "credential" not in fields else None
        async with self._database.read() as session:
            credential_id = kept if name is None else saved_id(await find_credential(session, name))
            source = Source(upstream, credential_id, certificates)
            if before is None or source != Source.of(before):
                await _check_use(session, source)
        return source

    async def examine(self, source: Source) -> None:
        """Ask the upstream whether it can be used with this credential; raises ApiError."""
        await self._upstreams.examine(self.target(source))

    def target(self, source: Source) -> Target:
        """Give what is asked, and how."""
        stored = (
            None
            if source.credential_id is None
            else self._credentials.stored(source.credential_id, source.upstream)
        )
        return Target(source.upstream, stored, source.ca_certificates)


async def find_credential(
    session: AsyncSession, name: CredentialName, *, hold: Hold | None = None
) -> Credential:
    """Find a credential of an organization that the caller may see.

    With `hold` it is locked, and its organization before it. Raises ApiError NOT_FOUND.
    """
    if hold:
        await find.keep_organization(session, name.organization)
    statement = (
        select(Credential)
        .join(Organization, col(Credential.organization_id) == Organization.id)
        .where(Organization.slug == name.organization, Credential.slug == name.credential)
    )
    if hold:
        statement = statement.with_for_update(of=Credential, key_share=hold.leaves_key)
    found = (await session.exec(statement)).first()
    if found is None or not caller().may_see(found.organization_id):
        raise not_found(
            "CREDENTIAL_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name)
        )
    return found


async def keep_credential(session: AsyncSession, source: Source) -> None:
    """Have the credential of a source stay until the transaction ends; raises ApiError NOT_FOUND.

    To be called when the organization is locked, and before the artifact is.
    """
    if source.credential_id is None:
        return
    key = col(Credential.id)
    if not await lock(session, key, Hold.STAYS, key == source.credential_id):
        raise not_found("CREDENTIAL_UNKNOWN", "The credential was deleted meanwhile: give another one.")


async def access_changed(database: Database, session: AsyncSession, artifact_ids: Collection[int]) -> None:
    """Have nodes ask anew what they need for the upstreams of these artifacts, which are locked."""
    await session.exec(
        update(Artifact)
        .where(col(Artifact.id).in_(artifact_ids))
        .values(content_revision=col(Artifact.content_revision) + 1)
    )
    await database.raise_revision(session, Section.ARTIFACTS)


async def _check_use(session: AsyncSession, source: Source) -> None:
    """Raise ApiError PERMISSION_DENIED where the caller would send a credential to a new place.

    Whoever may create artifacts must not get to see a password by naming a host of their own: only an
    administrator shows a credential to a host, and under certificates, that it was not shown to before.
    """
    if source.credential_id is None or caller().role == Role.ADMIN:
        return
    users = await session.exec(select(Artifact).where(Artifact.credential_id == source.credential_id))
    place = (source.upstream.host, source.upstream.plain_http, source.ca_certificates)
    for row in users:
        known = Source.of(row)
        if place == (known.upstream.host, known.upstream.plain_http, known.ca_certificates):
            return
    raise denied(
        "CREDENTIAL_NOT_FOR_HOST",
        f"This credential is not used with {source.upstream.host} yet, and only an administrator may show it"
        " to another host: have one create the first artifact there.",
        upstream_host=source.upstream.host,
    )
