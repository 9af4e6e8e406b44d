"""`penstock artifacts sync` and `syncs`: what makes an artifact equal to its upstream, and how that went."""

from typing import Annotated

import typer

from clients.cli.command import command
from clients.cli.failure import Failure
from clients.cli.output import Field, moment, show, show_list
from clients.cli.progress import check, requests_summary, state, summary, wait
from clients.cli.session import Session
from clients.cli.sync_many import sync_many
from clients.control import names
from clients.control.errors import translated
from clients.control.names import ArtifactPath
from clients.control.paging import iterate
from clients.process.exits import Exit
from penstock.v1.artifact_pb2 import ListSyncJobsRequest, SyncArtifactRequest, SyncJob

FIELDS: tuple[Field[SyncJob], ...] = (
    Field("sync", lambda it: names.last(it.name)),
    Field("state", state),
    Field("trigger", lambda it: SyncJob.Trigger.Name(it.trigger).lower()),
    Field("requested by", lambda it: it.requested_by, listed=False),
    Field("tags", summary),
    Field("manifests fetched", lambda it: str(it.manifests_fetched), listed=False),
    Field("requests", requests_summary, listed=False),
    Field("started", lambda it: moment(it, "start_time")),
    Field("ended", lambda it: moment(it, "end_time")),
    Field("error", lambda it: it.error),
)

ArtifactArgument = Annotated[
    str,
    typer.Argument(
        metavar="ARTIFACT",
        help="Organization and repository name below it, like acme/redis or acme/team/app.",
        show_default=False,
    ),
]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Wait for the sync to end; fail if it does not succeed.")
]
ForceOption = Annotated[
    bool,
    typer.Option(
        "--force-removals", help="Remove what is gone upstream now, even if it is more than half of the tags."
    ),
]


def add(app: typer.Typer) -> None:
    """Add the two commands."""
    command(
        app,
        "sync",
        "penstock artifacts sync acme/redis --wait",
        "penstock artifacts sync acme/redis --output json",
        "penstock artifacts sync acme --all",
        "penstock artifacts sync acme --selector team=web,tier!=test --wait",
    )(sync)
    command(app, "syncs", "penstock artifacts syncs acme/redis")(list_syncs)


async def sync(
    session: Session,
    artifact: Annotated[
        str,
        typer.Argument(
            metavar="ARTIFACT",
            help="Like acme/redis; with --all or --selector, the organization alone, like acme.",
            show_default=False,
        ),
    ],
    all_artifacts: Annotated[
        bool, typer.Option("--all", help="Sync every artifact of the organization.")
    ] = False,
    selector: Annotated[
        str | None,
        typer.Option(
            "--selector",
            help="Sync the artifacts with these labels: key=value, key!=value, key, !key, with commas.",
            show_default=False,
        ),
    ] = None,
    force_removals: ForceOption = False,
    wait_for_sync: WaitOption = False,
) -> None:
    """Start a sync of one artifact or of many, or join what runs.

    With --wait, shows progress on standard error, and exits with 1 and a list of the tags that failed
    unless every sync succeeds.
    """
    if all_artifacts or selector is not None:
        if all_artifacts and selector is not None:
            raise Failure("Give --all or --selector, not both.", Exit.USAGE)
        await sync_many(
            session,
            artifact,
            selector or "",
            FIELDS,
            force_removals=force_removals,
            wait=wait_for_sync,
        )
        return
    if "/" not in artifact:
        raise Failure(
            f"{artifact!r} names no artifact: give one, like {artifact}/redis, or --all for all of"
            " the organization's.",
            Exit.USAGE,
        )
    path = ArtifactPath.parse(artifact)
    async with session.control() as control:
        with translated():
            job = await control.artifacts.SyncArtifact(
                SyncArtifactRequest(name=path.name, force_removals=force_removals)
            )
        if wait_for_sync:
            job = await wait(control, job.name, str(path))
    show(job, FIELDS, session.output)
    if wait_for_sync:
        check(job, str(path))


async def list_syncs(session: Session, artifact: ArtifactArgument) -> None:
    """List the syncs of an artifact, newest first."""
    request = ListSyncJobsRequest(parent=ArtifactPath.parse(artifact).name)
    async with session.control() as control:
        await show_list(
            iterate(control.artifacts.ListSyncJobs, request, lambda page: page.sync_jobs),
            FIELDS,
            session.output,
        )
