"""Tries a credential before it is saved, with AWS and with the artifacts that use it."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from clients.oci.credential import Basic
from clients.oci.errors import CredentialRefused, UpstreamError
from controlplane.api.artifact_source import Source
from controlplane.api.errors import from_check
from controlplane.api.upstreams import Upstreams
from controlplane.model.artifact_tables import Artifact
from controlplane.model.naming import ArtifactName
from controlplane.upstream.access import Target
from controlplane.upstream.credentials import Candidate
from controlplane.upstream.ecr import Region

# Artifacts that are tried at once.
_PARALLEL: Final = 8
# A key belongs to one partition of AWS, which it does not show; these are regions of the others.
_ELSEWHERE: Final = (Region("cn-north-1"), Region("us-gov-west-1"))


class CredentialCheck:
    """Tries candidates; raises ApiError FAILED_PRECONDITION with the cause."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def with_aws(self, candidate: Candidate) -> None:
        """Get a token for an access key of AWS; a user name and password are tried with an artifact only."""
        if isinstance(candidate.content, Basic):
            return
        try:
            await candidate.token(Region())
        except CredentialRefused as error:
            if not candidate.content.endpoint and await _accepted_elsewhere(candidate):
                return
            raise from_check(error) from error
        except UpstreamError as error:
            raise from_check(error) from error

    async def with_artifacts(
        self, organization: str, candidate: Candidate, artifacts: Sequence[Artifact]
    ) -> None:
        """Have every artifact's upstream read with it; with AWS, where there is no artifact."""
        if not artifacts:
            await self.with_aws(candidate)
            return
        by_host: dict[str, list[Artifact]] = defaultdict(list)
        for artifact in artifacts:
            by_host[Source.of(artifact).upstream.host].append(artifact)
        turn = asyncio.Semaphore(_PARALLEL)

        async def examine(artifact: Artifact) -> None:
            source = Source.of(artifact)
            target = Target(source.upstream, candidate.of(source.upstream), source.ca_certificates)
            async with turn:
                await self._upstreams.examine(target, artifact=str(ArtifactName(organization, artifact.path)))

        # One of each registry first: a wrong password is found out with one attempt.
        for part in (
            [rows[0] for rows in by_host.values()],
            [row for rows in by_host.values() for row in rows[1:]],
        ):
            try:
                async with asyncio.TaskGroup() as group:
                    for artifact in part:
                        group.create_task(examine(artifact))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from errors


async def _accepted_elsewhere(candidate: Candidate) -> bool:
    for region in _ELSEWHERE:
        try:
            await candidate.token(region)
        except UpstreamError:
            continue
        return True
    return False
