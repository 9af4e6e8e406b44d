"""Encrypts every stored secret with the newest key, a few rows at a time while everything goes on."""

from collections.abc import Callable
from typing import Final

from sqlmodel import col, select

from controlplane.model.database import Database
from controlplane.model.keys import Keys
from controlplane.model.upstream_tables import Credential, EcrToken

_BATCH: Final = 100


async def reseal(database: Database, keys: Keys, told: Callable[[int, bool], None] = lambda *_: None) -> int:
    """Seal what another key than the newest has sealed; gives how many secrets that were.

    `told` hears, in each transaction, how many they are with it, and whether that is all. Raises SealBroken
    where one does not open; those before it are done. Tokens of AWS are dropped, for they are got again.
    """
    count = 0
    after = 0
    while True:
        async with database.write() as session:
            rows = (
                await session.exec(
                    select(Credential)
                    .where(col(Credential.id) > after)
                    .order_by(col(Credential.id))
                    .limit(_BATCH)
                    .with_for_update()
                )
            ).all()
            for row in rows:
                for column in ("secret", "session_token"):
                    count += _sealed_again(row, column, keys)
            tokens = await session.exec(
                select(EcrToken).where(col(EcrToken.credential_id).in_([row.id for row in rows]))
            )
            for token in tokens:
                if token.token and not keys.is_current(token.token):
                    token.token = ""
            told(count, len(rows) < _BATCH)
        if len(rows) < _BATCH:
            return count
        after = rows[-1].id or 0


def _sealed_again(row: Credential, column: str, keys: Keys) -> int:
    sealed: str = getattr(row, column)
    if not sealed or keys.is_current(sealed):
        return 0
    place = f"credential/{row.uid}/{column}"
    setattr(row, column, keys.seal(keys.open(sealed, place), place))
    return 1
