"""The route that scripts use to start a sync."""

from typing import Final

from google.protobuf import json_format

from controlplane.api.artifacts import ArtifactServicer
from controlplane.api.caller import acting_as
from controlplane.api.gate import Gate
from controlplane.api.translate import translate
from controlplane.model.naming import ArtifactUid
from controlplane.web.handler import Handler
from penstock.v1 import artifact_pb2 as pb

_METHOD: Final = "/penstock.v1.ArtifactService/SyncArtifact"


class SyncArtifact(Handler):
    """`POST /api/v1/artifacts/<uid>/sync`: SyncArtifact by the artifact's uid."""

    def initialize(self, gate: Gate, artifacts: ArtifactServicer) -> None:
        """Take who admits, and who answers."""
        self._gate = gate
        self._artifacts = artifacts

    async def post(self, uid: str) -> None:
        """Answer with the SyncJob, of a sync that was started or was running already."""
        try:
            caller = await self._gate.admit(_METHOD, self.request.headers.get("Authorization", ""))
            with acting_as(caller):
                job = await self._artifacts.SyncArtifact(
                    pb.SyncArtifactRequest(name=str(ArtifactUid(uid))), None
                )
        except Exception as error:  # noqa: BLE001 - the last place that can tell the caller
            self.fail(translate(_METHOD, error))
            return
        self.finish(json_format.MessageToJson(job, indent=None, always_print_fields_with_no_presence=True))
