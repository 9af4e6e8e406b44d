"""The part of ArtifactService that shows tags."""

from datetime import datetime
from typing import Final

from sqlmodel import col, select
from sqlmodel.sql.expression import Select

from controlplane.api import find
from controlplane.api.errors import not_found
from controlplane.api.paging import LARGEST_NUMBER, number, page, text
from controlplane.api.timestamps import timestamp
from controlplane.api.validation import Violations
from controlplane.model.artifact_tables import Manifest, Tag, TagRevision
from controlplane.model.database import Database
from controlplane.model.naming import ArtifactName, TagName
from controlplane.model.saved import saved_id
from penstock.v1 import artifact_pb2 as pb

# Where the revision that lasts stands among those that ended, which go by their ids.
_NOW: Final = str(LARGEST_NUMBER)


class Tags:
    """Answers from the table of tags."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def GetTag(self, request: pb.GetTagRequest, _context: object) -> pb.Tag:
        """Answer GetTag."""
        with Violations() as violations:
            name = violations.check("name", TagName.parse, request.name)
        async with self._database.read() as session:
            artifact = await find.artifact(session, name.artifact)
            found = await session.exec(
                _tags().where(Tag.artifact_id == artifact.row.id, Tag.name == name.tag)
            )
            row = found.first()
        if row is None:
            raise not_found("TAG_UNKNOWN", f"There is no {name}; a sync may bring it.", name=str(name))
        return _message(name.artifact, *row)

    async def ListTags(self, request: pb.ListTagsRequest, _context: object) -> pb.ListTagsResponse:
        """Answer ListTags."""
        with Violations() as violations:
            parent = violations.check("parent", ArtifactName.parse, request.parent)
            wanted = page(request, f"{request.parent}/tags", violations, text)
        async with self._database.read() as session:
            artifact = await find.artifact(session, parent)
            found = await session.exec(
                _tags()
                .where(Tag.artifact_id == artifact.row.id, col(Tag.name) > (wanted.after or ""))
                .order_by(col(Tag.name))
                .limit(wanted.limit)
            )
            rows = found.all()
        shown, token = wanted.cut(rows, lambda row: row[0].name)
        return pb.ListTagsResponse(tags=[_message(parent, *row) for row in shown], next_page_token=token)

    async def ListTagRevisions(
        self, request: pb.ListTagRevisionsRequest, _context: object
    ) -> pb.ListTagRevisionsResponse:
        """Answer ListTagRevisions."""
        with Violations() as violations:
            name = violations.check("parent", TagName.parse, request.parent)
            wanted = page(request, f"{request.parent}/revisions", violations, number)
        async with self._database.read() as session:
            artifact = await find.artifact(session, name.artifact)
            statement = (
                select(TagRevision)
                .where(TagRevision.artifact_id == artifact.row.id, TagRevision.name == name.tag)
                .order_by(col(TagRevision.id).desc())
                .limit(wanted.limit)
            )
            if wanted.after is not None:
                statement = statement.where(col(TagRevision.id) < wanted.after)
            ended = (await session.exec(statement)).all()
            now = None
            if wanted.after is None:
                found = await session.exec(
                    select(Tag).where(Tag.artifact_id == artifact.row.id, Tag.name == name.tag)
                )
                now = found.first()
        if not ended and now is None and wanted.after is None:
            raise not_found("TAG_UNKNOWN", f"There is no {name}, and there was none.", name=str(name))
        rows: list[tuple[str, str, datetime, datetime | None]] = []
        if now is not None:
            rows.append((_NOW, now.digest, now.update_time, None))
        rows += [(str(saved_id(row)), row.digest, row.start_time, row.end_time) for row in ended]
        shown, token = wanted.cut(rows[: wanted.limit], lambda row: row[0])
        revisions = [
            pb.TagRevision(digest=digest, start_time=timestamp(start), end_time=timestamp(end))
            for _, digest, start, end in shown
        ]
        return pb.ListTagRevisionsResponse(tag_revisions=revisions, next_page_token=token)


def _tags() -> Select[Tag, str, int]:
    # Without the manifests' content, which may be megabytes.
    return select(Tag, Manifest.media_type, Manifest.size).where(
        Manifest.artifact_id == Tag.artifact_id, Manifest.digest == Tag.digest
    )


def _message(artifact: ArtifactName, row: Tag, media_type: str, size: int) -> pb.Tag:
    return pb.Tag(
        name=str(TagName(artifact, row.name)),
        digest=row.digest,
        media_type=media_type,
        size=size,
        create_time=timestamp(row.create_time),
        update_time=timestamp(row.update_time),
    )
