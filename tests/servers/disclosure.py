"""Looks for secrets in everything that an installation wrote, keeps, or tells."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf.message import Message

from clients.control.client import ControlClient
from penstock.v1.artifact_pb2 import ListArtifactsRequest, ListSyncJobsRequest
from penstock.v1.credential_pb2 import ListCredentialsRequest
from penstock.v1.node_pb2 import ListNodesRequest
from penstock.v1.organization_pb2 import ListOrganizationsRequest
from penstock.v1.user_pb2 import ListUsersRequest
from tests.fakes.secrets import occurs
from tests.servers import http
from tests.servers.node import Node
from tests.servers.penstock import Penstock
from tests.servers.process import Process


class Secrets:
    """Every secret that some tests used, and the places where they must not turn up."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._issued: list[tuple[str, Iterable[str]]] = []

    def add(self, what: str, secret: str) -> str:
        """Takes note of a secret; returns it."""
        self._known[secret] = what
        return secret

    def watch(self, what: str, issued: Iterable[str]) -> None:
        """Takes note of secrets that are yet to be made: all that `issued` has by the time of the search."""
        self._issued.append((what, issued))

    def disclosed(self, penstock: Penstock, *nodes: Node) -> list[str]:
        """Lists what was found, and where: logs, files, metrics, and answers to an administrator.

        The installation must run, and no event loop.
        """
        known = self._known | {secret: what for what, issued in self._issued for secret in issued}
        assert known, "no secret was used, so that nothing is proved"
        places = [
            *_logs([*penstock.planes.values(), *(node.process for node in nodes)]),
            *(found for data in (penstock.data, *(node.data for node in nodes)) for found in _files(data)),
            *_metrics([penstock.http, penstock.node, *(node.node for node in nodes)]),
            *asyncio.run(_answers(penstock)),
        ]
        return [
            f"{what} in {place}"
            for place, content in places
            for secret, what in known.items()
            if occurs(secret, content)
        ]


def _logs(processes: list[Process]) -> Iterator[tuple[str, bytes]]:
    for process in processes:
        content = process.log.read_bytes()
        assert content, f"{process.name} has logged nothing"
        yield f"the log of {process.name}", content


def _files(data: Path) -> Iterator[tuple[str, bytes]]:
    # The database with its write-ahead log, the nodes' configuration, and whatever else there may be.
    for path in data.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


def _metrics(addresses: list[str]) -> Iterator[tuple[str, bytes]]:
    for address in addresses:
        answer = http.request(address, "GET", "/metrics")
        assert answer.status == 200
        yield f"http://{address}/metrics", answer.body


async def _answers(penstock: Penstock) -> list[tuple[str, bytes]]:
    # What the lists of the API tell the administrator of the installation, from the top down.
    answers: list[Message] = []
    async with ControlClient(penstock.grpc, penstock.admin_token) as control:
        answers.append(await control.nodes.ListNodes(ListNodesRequest()))
        organizations = await control.organizations.ListOrganizations(ListOrganizationsRequest())
        for parent in [organization.name for organization in organizations.organizations]:
            artifacts = await control.artifacts.ListArtifacts(ListArtifactsRequest(parent=parent))
            answers += [
                artifacts,
                await control.users.ListUsers(ListUsersRequest(parent=parent)),
                await control.credentials.ListCredentials(ListCredentialsRequest(parent=parent)),
            ]
            for artifact in artifacts.artifacts:
                jobs = ListSyncJobsRequest(parent=artifact.name)
                answers.append(await control.artifacts.ListSyncJobs(jobs))
    return [(type(answer).__name__, answer.SerializeToString()) for answer in answers]
