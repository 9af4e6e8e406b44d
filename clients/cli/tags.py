"""`penstock tags`."""

from typing import Annotated

import typer

from clients.cli.command import application, command
from clients.cli.output import Field, moment, show, show_list
from clients.cli.session import Session
from clients.control import names
from clients.control.errors import translated
from clients.control.names import ArtifactPath
from clients.control.paging import iterate
from penstock.v1.artifact_pb2 import (
    GetTagRequest,
    ListTagRevisionsRequest,
    ListTagsRequest,
    Tag,
    TagRevision,
)

app = application("tags", "Tags that are held of an artifact.")

FIELDS: tuple[Field[Tag], ...] = (
    Field("tag", lambda it: names.last(it.name)),
    Field("digest", lambda it: it.digest),
    Field("media type", lambda it: it.media_type, listed=False),
    Field("manifest bytes", lambda it: str(it.size), listed=False),
    Field("first seen", lambda it: moment(it, "create_time"), listed=False),
    Field("moved", lambda it: moment(it, "update_time")),
)


@command(app, "list", "penstock tags list acme/redis", "penstock tags list acme/redis --output json")
async def list_all(
    session: Session,
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Like acme/redis.", show_default=False)],
) -> None:
    """List the tags of an artifact."""
    request = ListTagsRequest(parent=ArtifactPath.parse(artifact).name)
    async with session.control() as control:
        await show_list(
            iterate(control.artifacts.ListTags, request, lambda page: page.tags), FIELDS, session.output
        )


REVISION_FIELDS: tuple[Field[TagRevision], ...] = (
    Field("digest", lambda it: it.digest),
    Field("from", lambda it: moment(it, "start_time")),
    Field("to", lambda it: moment(it, "end_time")),
)


@command(app, "get", "penstock tags get acme/redis:7")
async def get(
    session: Session,
    tag: Annotated[str, typer.Argument(metavar="TAG", help="Like acme/redis:7.", show_default=False)],
) -> None:
    """Show which digest a tag stands for."""
    request = GetTagRequest(name=names.tag(tag))
    async with session.control() as control:
        with translated():
            found = await control.artifacts.GetTag(request)
    show(found, FIELDS, session.output)


@command(
    app, "history", "penstock tags history acme/redis:7", "penstock tags history acme/redis:7 --output json"
)
async def history(
    session: Session,
    tag: Annotated[str, typer.Argument(metavar="TAG", help="Like acme/redis:7.", show_default=False)],
) -> None:
    """List which digests a tag had, from when to when.

    Newest first, and also of a tag that is gone.
    """
    request = ListTagRevisionsRequest(parent=names.tag(tag))
    async with session.control() as control:
        await show_list(
            iterate(control.artifacts.ListTagRevisions, request, lambda page: page.tag_revisions),
            REVISION_FIELDS,
            session.output,
        )
