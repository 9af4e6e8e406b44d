"""The part of CredentialService that has all secrets sealed with a new encryption key."""

from controlplane.api import audit
from controlplane.api.errors import precondition
from controlplane.model.database import Database
from controlplane.model.keys import Keys, KeysAreSet
from controlplane.model.reseal import reseal
from controlplane.model.secrets import SealBroken
from penstock.v1 import credential_pb2 as pb


class KeyRotation:
    """Begins and ends a rotation of `keys`."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    async def RotateEncryptionKey(
        self, _request: pb.RotateEncryptionKeyRequest, _context: object
    ) -> pb.RotateEncryptionKeyResponse:
        """Answer RotateEncryptionKey."""
        try:
            # A new key is a change, whatever becomes of the secrets.
            async with self._database.write():
                newest = self._keys.begin_rotation()
                _tells_sealed(0, finished=False)
        except KeysAreSet as error:
            raise precondition("ENCRYPTION_KEY_IN_ENVIRONMENT", str(error)) from error
        try:
            count = await reseal(
                self._database, self._keys, lambda count, all_: _tells_sealed(count, finished=all_)
            )
        except SealBroken as error:
            async with self._database.write():
                audit.tells(failure="SECRET_NOT_READABLE")
            raise precondition("SECRET_NOT_READABLE", str(error)) from error
        self._keys.end_rotation(newest)
        return pb.RotateEncryptionKeyResponse(secrets_reencrypted=count)


def _tells_sealed(count: int, *, finished: bool) -> None:
    audit.tells(secrets_reencrypted=count, finished=finished)
