"""`penstock entitlements`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from clients.cli.command import application, command
from clients.cli.failure import Failure
from clients.cli.output import Field, moment, show, show_deleted, show_list
from clients.cli.session import Session
from clients.cli.users import OrganizationArgument
from clients.cli.when import NEVER, expiry_option
from clients.control import names
from clients.control.errors import translated
from clients.control.names import ArtifactPath
from clients.control.paging import iterate
from clients.process.exits import Exit
from penstock.v1.entitlement_pb2 import (
    CreateEntitlementRequest,
    DeleteEntitlementRequest,
    Entitlement,
    GetEntitlementRequest,
    ListEntitlementsRequest,
    TagRule,
    UpdateEntitlementRequest,
)

app = application("entitlements", "What customers may pull.")


def _artifacts(entitlement: Entitlement) -> str:
    return ", ".join(
        f"{ArtifactPath.parse(grant.artifact).path} ({_rule(grant.tags)})" for grant in entitlement.grants
    )


def _rule(rule: TagRule) -> str:
    return "all tags" if rule.all_tags else ", ".join((*rule.patterns, *rule.version_ranges))


FIELDS: tuple[Field[Entitlement], ...] = (
    Field("entitlement", lambda it: names.last(it.name)),
    Field("customer", lambda it: names.last(it.customer)),
    Field("artifacts", _artifacts),
    Field("expires", lambda it: moment(it, "expire_time")),
    Field("display name", lambda it: it.display_name),
    Field("created", lambda it: moment(it, "create_time"), listed=False),
    Field("updated", lambda it: moment(it, "update_time"), listed=False),
    Field("uid", lambda it: it.uid, listed=False),
)

EntitlementArgument = Annotated[
    str, typer.Argument(metavar="ENTITLEMENT", help="Its id, like trial.", show_default=False)
]
ArtifactOption = Annotated[
    list[str] | None,
    typer.Option("--artifact", help="An artifact, like redis; may be repeated.", show_default=False),
]
TagsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tags", help="Tags by name or pattern, like 7.2 or '7.*'; may be repeated.", show_default=False
    ),
]
VersionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--versions", help="Semantic versions, like '>=1.2 <2'; may be repeated.", show_default=False
    ),
]
ExpiresOption = Annotated[
    str, typer.Option("--expires", help="In how long, like 30d, or when, like 2030-01-01 (by UTC).")
]
DisplayNameOption = Annotated[
    str | None, typer.Option("--display-name", help="A name for people.", show_default=False)
]


@command(
    app,
    "create",
    "penstock entitlements create acme --name trial --customer globex --artifact redis --tags '7.*'",
    "penstock entitlements create acme --name full --customer globex --artifact redis --artifact team/app",
    "penstock entitlements create acme --name eval --customer globex --artifact app --versions '<2'",
)
async def create(
    session: Session,
    organization: OrganizationArgument,
    name: Annotated[str, typer.Option("--name", help="Its id, like trial.", show_default=False)],
    customer: Annotated[
        str, typer.Option("--customer", help="Id of the customer, like globex.", show_default=False)
    ],
    artifact: ArtifactOption = None,
    tags: TagsOption = None,
    versions: VersionsOption = None,
    expires: ExpiresOption = NEVER,
    display_name: DisplayNameOption = None,
) -> None:
    """Let a customer pull tags of artifacts.

    The tags that are given count for each of the artifacts; without any, all tags do, those of later
    included. With the first entitlement, customers of the organization see only what they are entitled to.
    """
    if not artifact:
        raise Failure("There is nothing to pull: give --artifact, once or more.", Exit.USAGE)
    identifier = names.last(names.entitlement(organization, name))
    request = CreateEntitlementRequest(
        parent=names.organization(organization),
        entitlement_id=identifier,
        entitlement=Entitlement(
            customer=names.customer(organization, customer),
            grants=_grants(organization, artifact, tags, versions),
            display_name=display_name or "",
        ),
    )
    if (end := expiry_option(expires)) is not None:
        request.entitlement.expire_time.FromDatetime(end)
    async with session.control() as control:
        with translated():
            created = await control.entitlements.CreateEntitlement(request)
    show(created, FIELDS, session.output)


@command(app, "get", "penstock entitlements get acme trial")
async def get(session: Session, organization: OrganizationArgument, entitlement: EntitlementArgument) -> None:
    """Show an entitlement."""
    request = GetEntitlementRequest(name=names.entitlement(organization, entitlement))
    async with session.control() as control:
        with translated():
            found = await control.entitlements.GetEntitlement(request)
    show(found, FIELDS, session.output)


@command(
    app,
    "list",
    "penstock entitlements list acme",
    "penstock entitlements list acme --customer globex --artifact redis",
)
async def list_all(
    session: Session,
    organization: OrganizationArgument,
    customer: Annotated[
        str | None, typer.Option("--customer", help="Only those of this customer.", show_default=False)
    ] = None,
    artifact: Annotated[
        str | None, typer.Option("--artifact", help="Only those for this artifact.", show_default=False)
    ] = None,
) -> None:
    """List the entitlements of an organization."""
    request = ListEntitlementsRequest(parent=names.organization(organization))
    if customer is not None:
        request.customer = names.customer(organization, customer)
    if artifact is not None:
        request.artifact = names.artifact(organization, artifact)
    async with session.control() as control:
        found = iterate(control.entitlements.ListEntitlements, request, lambda page: page.entitlements)
        await show_list(found, FIELDS, session.output)


@command(
    app,
    "update",
    "penstock entitlements update acme trial --expires 30d",
    "penstock entitlements update acme trial --artifact redis --tags '8.*'",
)
async def update(
    session: Session,
    organization: OrganizationArgument,
    entitlement: EntitlementArgument,
    artifact: ArtifactOption = None,
    tags: TagsOption = None,
    versions: VersionsOption = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", help="As in create; `never` lets it last.", show_default=False),
    ] = None,
    display_name: DisplayNameOption = None,
) -> None:
    """Change an entitlement: when it ends, or all of what it allows.

    Artifacts that are given take the place of those that it had, with the tags that are given.
    """
    request = UpdateEntitlementRequest(
        entitlement=Entitlement(name=names.entitlement(organization, entitlement))
    )
    if artifact:
        request.entitlement.grants.extend(_grants(organization, artifact, tags, versions))
        request.update_mask.paths.append("grants")
    elif tags or versions:
        raise Failure("Tags are those of artifacts: give --artifact as well.", Exit.USAGE)
    if expires is not None:
        request.update_mask.paths.append("expire_time")
        if (end := expiry_option(expires)) is not None:
            request.entitlement.expire_time.FromDatetime(end)
    if display_name is not None:
        request.entitlement.display_name = display_name
        request.update_mask.paths.append("display_name")
    if not request.update_mask.paths:
        raise Failure("There is nothing to change: give --artifact, --expires or --display-name.", Exit.USAGE)
    async with session.control() as control:
        with translated():
            updated = await control.entitlements.UpdateEntitlement(request)
    show(updated, FIELDS, session.output)


@command(app, "delete", "penstock entitlements delete acme trial")
async def delete(
    session: Session, organization: OrganizationArgument, entitlement: EntitlementArgument
) -> None:
    """Delete an entitlement: nodes refuse at once what it allowed."""
    name = names.entitlement(organization, entitlement)
    async with session.control() as control:
        with translated():
            await control.entitlements.DeleteEntitlement(DeleteEntitlementRequest(name=name))
    show_deleted(name, session.output)


def _grants(
    organization: str, artifacts: Sequence[str], tags: Sequence[str] | None, versions: Sequence[str] | None
) -> list[Entitlement.Grant]:
    rule = TagRule(patterns=tags or (), version_ranges=versions or ())
    rule.all_tags = not (rule.patterns or rule.version_ranges)
    return [
        Entitlement.Grant(artifact=names.artifact(organization, artifact), tags=rule)
        for artifact in artifacts
    ]
