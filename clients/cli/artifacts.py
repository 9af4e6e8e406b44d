"""`penstock artifacts`."""

import sys
from typing import Annotated

import typer

from clients.cli import syncs
from clients.cli.command import application, command
from clients.cli.failure import Failure
from clients.cli.output import Field, moment, show, show_deleted, show_list
from clients.cli.private import CertificatesOption, CredentialOption, credential_name, read_certificates
from clients.cli.progress import check, wait
from clients.cli.session import Session
from clients.cli.sync_policy import PolicyOptions, policy_summary, with_sync_policy
from clients.cli.syncs import ArtifactArgument, WaitOption
from clients.control import names
from clients.control.channel import EMPTYING_TIMEOUT
from clients.control.client import ControlClient
from clients.control.errors import translated
from clients.control.names import ArtifactPath
from clients.control.paging import iterate
from clients.process.exits import Exit
from penstock.v1.artifact_pb2 import (
    Artifact,
    CreateArtifactRequest,
    DeleteArtifactRequest,
    GetArtifactRequest,
    ListArtifactsRequest,
    SyncArtifactRequest,
    UpdateArtifactRequest,
)

app = application("artifacts", "Upstream repositories, served under your names.")

FIELDS: tuple[Field[Artifact], ...] = (
    Field("artifact", lambda it: it.repository or str(ArtifactPath.parse(it.name))),
    Field("upstream", lambda it: f"{it.upstream} (plain http)" if it.plain_http else it.upstream),
    Field("display name", lambda it: it.display_name, listed=False),
    Field("credential", lambda it: names.last(it.credential), listed=False),
    Field("certificates", lambda it: "its own" if it.ca_certificates else "the system's", listed=False),
    Field("tags", lambda it: str(it.tag_count)),
    Field("bytes", lambda it: str(it.size_bytes), listed=False),
    Field("labels", lambda it: ", ".join(f"{k}={v}" for k, v in sorted(it.labels.items())), listed=False),
    Field("sync policy", policy_summary, listed=False),
    Field("last synced at", lambda it: moment(it, "last_sync_time")),
    Field("last sync error", lambda it: it.last_sync_error),
    Field("next sync", lambda it: moment(it, "next_sync_time"), listed=False),
    Field("syncing now", lambda it: names.last(it.current_sync_job), listed=False),
    Field("created", lambda it: moment(it, "create_time"), listed=False),
    Field("updated", lambda it: moment(it, "update_time"), listed=False),
    Field("uid", lambda it: it.uid, listed=False),
)

DisplayNameOption = Annotated[
    str | None, typer.Option("--display-name", help="A name for people.", show_default=False)
]
SkipOption = Annotated[
    bool,
    typer.Option(
        "--skip-upstream-check", help="Do not ask the upstream first whether it has the repository."
    ),
]
_UPSTREAM_HELP = "Upstream repository, like docker.io/library/redis; no scheme, no tag."
# The upstream is asked before the answer, and may be slow.
_CHECK_TIMEOUT = 120.0


@command(
    app,
    "create",
    "penstock artifacts create acme/redis --upstream docker.io/library/redis",
    "penstock artifacts create acme/team/app --upstream ghcr.io/org/app --wait",
    "penstock artifacts create acme/app --upstream registry.example.com:5000/team/app --plain-http",
    "penstock artifacts create acme/redis --upstream docker.io/library/redis --newest 20",
    "penstock artifacts create acme/vendor --upstream ghcr.io/acme/vendor --credential hub",
)
@with_sync_policy
async def create(
    session: Session,
    artifact: ArtifactArgument,
    upstream: Annotated[str, typer.Option("--upstream", help=_UPSTREAM_HELP, show_default=False)],
    plain_http: Annotated[
        bool, typer.Option("--plain-http", help="The upstream speaks HTTP without TLS.")
    ] = False,
    display_name: DisplayNameOption = None,
    credential: CredentialOption = None,
    ca_certificates: CertificatesOption = None,
    skip_upstream_check: SkipOption = False,
    wait_for_sync: WaitOption = False,
    *,
    policy: PolicyOptions,
) -> None:
    """Create an artifact and start its first sync.

    The upstream is asked first whether it has the repository. With --wait, exits with 1 and a list of the
    tags that failed unless the sync succeeds.
    """
    path = ArtifactPath.parse(artifact)
    request = CreateArtifactRequest(
        parent=path.parent,
        artifact=Artifact(
            upstream=upstream,
            plain_http=plain_http,
            display_name=display_name or "",
            credential=credential_name(path.organization, credential or ""),
            ca_certificates=read_certificates(ca_certificates or ""),
        ),
        artifact_id=path.identifier,
        skip_upstream_check=skip_upstream_check,
    )
    policy.fill(request.artifact)
    async with session.control() as control:
        with translated():
            created = await control.artifacts.CreateArtifact(request, timeout=_CHECK_TIMEOUT)
        await _finish(session, control, created, wait_for_sync)


@command(app, "get", "penstock artifacts get acme/redis", "penstock artifacts get acme/redis --output json")
async def get(session: Session, artifact: ArtifactArgument) -> None:
    """Show an artifact, and how its last sync went."""
    path = ArtifactPath.parse(artifact)
    async with session.control() as control:
        found = await _get(control, path.name)
    show(found, FIELDS, session.output)


@command(app, "list", "penstock artifacts list acme", "penstock artifacts list acme --output json")
async def list_all(
    session: Session,
    organization: Annotated[
        str,
        typer.Argument(metavar="ORGANIZATION", help="The organization's id, like acme.", show_default=False),
    ],
) -> None:
    """List the artifacts of an organization."""
    request = ListArtifactsRequest(parent=names.organization(organization))
    async with session.control() as control:
        await show_list(
            iterate(control.artifacts.ListArtifacts, request, lambda page: page.artifacts),
            FIELDS,
            session.output,
        )


@command(
    app,
    "update",
    "penstock artifacts update acme/redis --upstream ghcr.io/mirror/redis --wait",
    "penstock artifacts update acme/redis --display-name 'Redis, mirrored'",
    "penstock artifacts update acme/redis --include-tag '7.*' --platform linux/amd64 --deleted-tags keep",
)
@with_sync_policy
async def update(
    session: Session,
    artifact: ArtifactArgument,
    upstream: Annotated[
        str | None, typer.Option("--upstream", help=_UPSTREAM_HELP, show_default=False)
    ] = None,
    plain_http: Annotated[
        bool | None,
        typer.Option("--plain-http/--tls", help="How the upstream is spoken to.", show_default=False),
    ] = None,
    display_name: DisplayNameOption = None,
    credential: CredentialOption = None,
    ca_certificates: CertificatesOption = None,
    skip_upstream_check: SkipOption = False,
    wait_for_sync: WaitOption = False,
    *,
    policy: PolicyOptions,
) -> None:
    """Change an artifact; another upstream or credential starts a sync.

    What else is changed about syncs counts from the next one on.
    """
    path = ArtifactPath.parse(artifact)
    changes = {
        "upstream": upstream,
        "plain_http": plain_http,
        "display_name": display_name,
        "credential": credential,
        "ca_certificates": ca_certificates,
    }
    request = UpdateArtifactRequest(
        artifact=Artifact(
            name=path.name,
            upstream=upstream or "",
            plain_http=plain_http or False,
            display_name=display_name or "",
            credential=credential_name(path.organization, credential or ""),
            ca_certificates=read_certificates(ca_certificates or ""),
        ),
        skip_upstream_check=skip_upstream_check,
    )
    request.update_mask.paths.extend(field for field, value in changes.items() if value is not None)
    policy.fill(request.artifact)
    request.update_mask.paths.extend(policy.paths)
    if not request.update_mask.paths:
        raise Failure(
            "There is nothing to change: give --upstream, --display-name or another option.", Exit.USAGE
        )
    async with session.control() as control:
        with translated():
            updated = await control.artifacts.UpdateArtifact(request, timeout=EMPTYING_TIMEOUT)
        synced = any(value is not None for field, value in changes.items() if field != "display_name")
        await _finish(session, control, updated, wait_for_sync and synced)
    if wait_for_sync and not synced:
        print(
            f"This change starts no sync, so none was waited for: `penstock artifacts sync {path} --wait`"
            " starts one.",
            file=sys.stderr,
        )


@command(app, "delete", "penstock artifacts delete acme/redis")
async def delete(session: Session, artifact: ArtifactArgument) -> None:
    """Delete an artifact; the upstream is not touched."""
    path = ArtifactPath.parse(artifact)
    async with session.control() as control:
        with translated():
            request = DeleteArtifactRequest(name=path.name)
            await control.artifacts.DeleteArtifact(request, timeout=EMPTYING_TIMEOUT)
    show_deleted(str(path), session.output)


async def _get(control: ControlClient, name: str) -> Artifact:
    with translated():
        return await control.artifacts.GetArtifact(GetArtifactRequest(name=name))


async def _finish(session: Session, control: ControlClient, artifact: Artifact, wait_for_sync: bool) -> None:
    """Show what a change led to, after the sync that it started where that is to be waited for."""
    if not wait_for_sync:
        show(artifact, FIELDS, session.output)
        return
    job = artifact.current_sync_job
    if not job:
        with translated():
            job = (await control.artifacts.SyncArtifact(SyncArtifactRequest(name=artifact.name))).name
    title = str(ArtifactPath.parse(artifact.name))
    ended = await wait(control, job, title)
    show(await _get(control, artifact.name), FIELDS, session.output)
    check(ended, title)


syncs.add(app)
