"""CredentialService: what private upstreams are shown; tried before it is saved.

The rotation of the key that it is sealed with is in `controlplane.api.key_rotation`.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from google.protobuf.empty_pb2 import Empty
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from controlplane.api import find
from controlplane.api.artifact_source import access_changed, find_credential
from controlplane.api.caller import caller
from controlplane.api.credential_check import CredentialCheck
from controlplane.api.credential_messages import (
    artifact_counts,
    changed_content,
    credential_etag,
    credential_message,
    new_content,
    whole,
)
from controlplane.api.errors import already_exists, precondition
from controlplane.api.etags import check_etag, check_unchanged
from controlplane.api.key_rotation import KeyRotation
from controlplane.api.masks import masked_fields
from controlplane.api.paging import page, text
from controlplane.api.preview import preview
from controlplane.api.validation import Violations
from controlplane.catalog.unknown import Unknown
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.identifiers import check_credential_id, new_uid
from controlplane.model.keys import Keys
from controlplane.model.locks import Hold, lock
from controlplane.model.naming import CredentialName, OrganizationName
from controlplane.model.saved import saved_id
from controlplane.model.secrets import SealBroken
from controlplane.model.upstream_tables import Credential
from controlplane.sync.runner import Syncs
from controlplane.upstream.credentials import Candidate, Credentials
from controlplane.upstream.opened import close, opened, version_of
from penstock.v1 import artifact_pb2
from penstock.v1 import credential_pb2 as pb
from penstock.v1.credential_pb2_grpc import CredentialServiceServicer

_TYPES: Final = frozenset({"basic", "aws_ecr"})


class CredentialServicer(KeyRotation, CredentialServiceServicer):
    """Answers from the table of credentials; `now` is the time of day in UTC."""

    def __init__(
        self,
        database: Database,
        keys: Keys,
        credentials: Credentials,
        check: CredentialCheck,
        syncs: Syncs,
        now: Callable[[], datetime],
        *,
        allow_private: bool,
    ) -> None:
        super().__init__(database, keys)
        self._database = database
        self._keys = keys
        self._credentials = credentials
        self._check = check
        self._syncs = syncs
        self._now = now
        self._allow_private = allow_private

    async def GetCredential(self, request: pb.GetCredentialRequest, _context: object) -> pb.Credential:
        """Answer GetCredential."""
        with Violations() as violations:
            name = violations.check("name", CredentialName.parse, request.name)
        async with self._database.read() as session:
            row = await find_credential(session, name)
            counts = await artifact_counts(session, [row])
        return credential_message(name.organization, row, counts.get(row.id, 0))

    async def ListCredentials(
        self, request: pb.ListCredentialsRequest, _context: object
    ) -> pb.ListCredentialsResponse:
        """Answer ListCredentials."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            wanted = page(request, f"{request.parent}/credentials", violations, text)
        async with self._database.read() as session:
            organization = await find.organization(session, parent)
            found = await session.exec(
                select(Credential)
                .where(
                    Credential.organization_id == organization.id, col(Credential.slug) > (wanted.after or "")
                )
                .order_by(col(Credential.slug))
                .limit(wanted.limit)
            )
            shown, token = wanted.cut(found.all(), lambda row: row.slug)
            counts = await artifact_counts(session, shown)
        messages = [credential_message(parent.organization, row, counts.get(row.id, 0)) for row in shown]
        return pb.ListCredentialsResponse(credentials=messages, next_page_token=token)

    async def CreateCredential(self, request: pb.CreateCredentialRequest, _context: object) -> pb.Credential:
        """Answer CreateCredential."""
        given = request.credential
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            slug = violations.check("credential_id", check_credential_id, request.credential_id)
            violations.check_text("credential.display_name", given.display_name)
            content = new_content(given, violations, allow_private=self._allow_private)
        name = CredentialName(parent.organization, slug)
        async with self._database.read() as session:
            organization = await find.organization(session, parent)
            taken = await session.exec(
                select(Credential.id).where(
                    Credential.organization_id == organization.id, Credential.slug == slug
                )
            )
            if taken.first() is not None:
                raise _exists(name)
        candidate = self._credentials.candidate(content)
        if not request.skip_upstream_check:
            await self._check.with_aws(candidate)
        now = self._now()
        try:
            async with self._database.write(keep=not request.validate_only) as session:
                organization = await find.organization(session, parent, hold=Hold.CHANGES)
                row = Credential(
                    uid=new_uid(),
                    organization_id=saved_id(organization),
                    slug=slug,
                    display_name=given.display_name,
                    kind="",
                    username="",
                    secret="",
                    secret_update_time=now,
                    secret_update_user=caller().email,
                    create_time=now,
                    update_time=now,
                )
                close(row, content, self._keys)
                session.add(row)
                await session.flush()
                await self._credentials.tokens.save(session, opened(row, self._keys), candidate.tokens)
                answer = credential_message(parent.organization, row)
        except IntegrityError as error:
            raise _exists(name) from error
        return preview(answer) if request.validate_only else answer

    async def UpdateCredential(self, request: pb.UpdateCredentialRequest, _context: object) -> pb.Credential:
        """Answer UpdateCredential."""
        given = request.credential
        with Violations() as violations:
            name = violations.check("credential.name", CredentialName.parse, given.name)
            fields = masked_fields(request.update_mask, given, violations)
            violations.check_text("credential.display_name", given.display_name)
        async with self._database.read() as session:
            row = await find_credential(session, name)
            artifacts = (await session.exec(select(Artifact).where(Artifact.credential_id == row.id))).all()
        check_etag(given.etag, credential_etag(row), str(name))
        candidate = self._candidate(name.organization, given, fields, row)
        version = version_of(row)
        if candidate is not None and not request.skip_upstream_check:
            # Upstreams may take their time, and a transaction must not.
            await self._check.with_artifacts(name.organization, candidate, artifacts)
        async with self._database.write(keep=not request.validate_only) as session:
            row = await find_credential(session, name, hold=Hold.CHANGES)
            check_etag(given.etag, credential_etag(row), str(name))
            if candidate is not None:
                # What is not given is as it was then.
                check_unchanged(version_of(row), version, str(name))
            now = self._now()
            if "display_name" in fields:
                row.display_name = given.display_name
            row.update_time = now
            ids = await lock(
                session, col(Artifact.id), Hold.CHANGES, col(Artifact.credential_id) == saved_id(row)
            )
            if candidate is not None:
                row.secret_update_time, row.secret_update_user = now, caller().email
                row.last_error, row.last_error_time = "", None
                close(row, candidate.content, self._keys)
                await session.flush()
                await self._credentials.tokens.save(session, opened(row, self._keys), candidate.tokens)
                await access_changed(self._database, session, ids)
            answer = credential_message(name.organization, row, len(ids))
        if candidate is not None and not request.validate_only:
            self._credentials.forget(saved_id(row))
            for artifact_id in ids:
                # One that was deleted meanwhile needs none.
                with suppress(Unknown):
                    await self._syncs.request(
                        artifact_id, artifact_pb2.SyncJob.CREDENTIAL_CHANGE, caller().email
                    )
        return answer

    async def DeleteCredential(self, request: pb.DeleteCredentialRequest, _context: object) -> Empty:
        """Answer DeleteCredential."""
        with Violations() as violations:
            name = violations.check("name", CredentialName.parse, request.name)
        async with self._database.write() as session:
            row = await find_credential(session, name, hold=Hold.GOES)
            check_etag(request.etag, credential_etag(row), str(name))
            users = (await artifact_counts(session, [row])).get(row.id, 0)
            if users:
                raise precondition(
                    "CREDENTIAL_IN_USE",
                    f"{name} is used by {users} artifacts: give them another one, or none, first.",
                    artifacts=str(users),
                )
            await session.delete(row)
        self._credentials.forget(saved_id(row))
        return Empty()

    def _candidate(
        self, slug: str, given: pb.Credential, fields: frozenset[str], row: Credential
    ) -> Candidate | None:
        """Give what a credential is to show from now on; None where that is what it shows."""
        changed = _TYPES.intersection(field.partition(".")[0] for field in fields)
        if not changed or not given.HasField("type"):
            return None
        given = whole(given, fields, credential_message(slug, row))
        try:
            before = opened(row, self._keys).content
        except SealBroken:
            # Lost with its key: what is given has to be whole.
            before = None
        with Violations() as violations:
            if given.WhichOneof("type") != row.kind:
                violations.add(
                    "credential", f"is of type {row.kind}, which cannot be changed: create another."
                )
            content = changed_content(given, before, violations, allow_private=self._allow_private)
        return None if content == before else self._credentials.candidate(content)


def _exists(name: CredentialName) -> Exception:
    return already_exists(
        "CREDENTIAL_EXISTS",
        f"There is {name} already: choose another id, or update that one.",
        name=str(name),
    )
