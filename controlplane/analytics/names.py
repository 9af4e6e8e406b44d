"""Numbers for what recurs in events: given out when they are stored, and told when they are shown."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from sqlalchemy import select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.catalog.store import insert_into
from controlplane.model.pull_tables import NOTHING, NameKind, PullName

_KEY_BYTES: Final = 16
# Values in one statement; SQLite takes 32,766.
_CHUNK: Final = 5000
# Names that are kept in memory while a list is shown.
_MOST_CACHED: Final = 20_000

# Number, name, display name and last day of a row.
_Held = tuple[int, str, str, int]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Naming:
    """Something that is to have a number."""

    organization_id: int
    kind: NameKind
    # Empty where the name is all.
    uid: str
    name: str
    display_name: str = ""
    # Whether it was found under its uid, so that the name is better than one that was stored before.
    found: bool = False

    @property
    def key(self) -> bytes:
        """What makes it itself."""
        text = f"{self.organization_id}\0{self.kind.value}\0{self.uid or self.name}"
        return hashlib.blake2b(text.encode(), digest_size=_KEY_BYTES).digest()


async def number(session: AsyncSession, wanted: dict[Naming, int]) -> dict[Naming, int]:
    """Give the number of each, a new one where it has none; `wanted` has the day when it was last pulled."""
    waiting = {naming.key: (naming, day) for naming, day in wanted.items()}
    numbers: dict[Naming, int] = {}
    while waiting:
        held = await _held(session, waiting)
        missing = [_row(key, *waiting[key]) for key in sorted(waiting.keys() - held.keys())]
        if missing:
            connection = await session.connection()
            await connection.execute(insert_into(session, PullName).on_conflict_do_nothing(), missing)
            held |= await _held(session, (row["key"] for row in missing))
        for key in sorted(waiting):
            naming, day = waiting[key]
            if await _renewed(session, held[key], naming, day):
                numbers[naming] = held[key][0]
                del waiting[key]
    return numbers


async def _renewed(session: AsyncSession, held: _Held, naming: Naming, day: int) -> bool:
    """Write what is newer than what is held; tells whether the row was there, or nothing was to be written.

    A row that is old may be deleted (`controlplane.analytics.keeper`) after it was found.
    """
    number_, name, display_name, last_day = held
    if naming.found and (name, display_name) != (naming.name, naming.display_name):
        name, display_name = naming.name, naming.display_name
    elif day <= last_day:
        return True
    updated = await session.exec(
        update(PullName)
        .where(col(PullName.id) == number_)
        .values(name=name, display_name=display_name, last_day=max(day, last_day))
    )
    return updated.rowcount > 0


async def _held(session: AsyncSession, keys: Iterable[bytes]) -> dict[bytes, _Held]:
    found: dict[bytes, _Held] = {}
    for chunk in _chunks(sorted(keys)):
        rows = await (await session.connection()).execute(
            select(
                col(PullName.key),
                col(PullName.id),
                col(PullName.name),
                col(PullName.display_name),
                col(PullName.last_day),
            ).where(col(PullName.key).in_(chunk))
        )
        found |= {key: (row or NOTHING, name, shown, day) for key, row, name, shown, day in rows}
    return found


def _row(key: bytes, naming: Naming, day: int) -> dict[str, Any]:
    return {
        "organization_id": naming.organization_id,
        "kind": naming.kind.value,
        "key": key,
        "uid": naming.uid,
        "name": naming.name,
        "display_name": naming.display_name,
        "last_day": day,
    }


def _chunks(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(values), _CHUNK):
        yield values[start : start + _CHUNK]


@dataclass(frozen=True, slots=True)
class Name:
    """What a number stands for; of nothing, all is empty."""

    uid: str = ""
    name: str = ""
    display_name: str = ""


class Names:
    """Tells what numbers stand for; remembers a bounded number of them, for one list or export."""

    def __init__(self) -> None:
        self._known: dict[int, Name] = {NOTHING: Name()}

    async def learn(self, session: AsyncSession, numbers: Iterable[int]) -> None:
        """Look up those that are not known yet, so that `of` can tell them."""
        wanted = set(numbers)
        if len(self._known) > _MOST_CACHED:
            self._known = {known: name for known, name in self._known.items() if known in wanted | {NOTHING}}
        for chunk in _chunks(sorted(wanted - self._known.keys())):
            rows = await (await session.connection()).execute(
                select(
                    col(PullName.id), col(PullName.uid), col(PullName.name), col(PullName.display_name)
                ).where(col(PullName.id).in_(chunk))
            )
            self._known |= {row or NOTHING: Name(uid, name, shown) for row, uid, name, shown in rows}

    def of(self, number: int) -> Name:
        """Give what it stands for; of one that was never learned, nothing."""
        return self._known.get(number, self._known[NOTHING])
