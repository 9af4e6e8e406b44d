"""What becomes of held tags that the upstream no longer lists."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlmodel import col, select, update

from controlplane.catalog import tagging
from controlplane.catalog.held import batches
from controlplane.model.artifact_tables import Tag
from controlplane.model.database import Database
from controlplane.sync.writer import Writer

# Tags read at once.
_PAGE: Final = 5000
# Tags removed in one transaction, with all that they alone led to: where that is a thousand manifests each,
# it takes SQLite 4 s, in which no lease is renewed.
_REMOVED: Final = 20


@dataclass(slots=True)
class Comparison:
    """Held tags beside a whole listing: how many there are, and those that differ from what was noted."""

    held: int = 0
    # Not listed; for the first time, or again.
    missing_first: list[str] = field(default_factory=list)
    missing_again: list[str] = field(default_factory=list)
    # Listed, after they were missing.
    back: list[str] = field(default_factory=list)
    # Listed; newly left out by the filters, or newly not.
    left: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """The number of held tags that are not listed."""
        return len(self.missing_first) + len(self.missing_again)


class Removal:
    """Removes tags of one artifact, with what they alone led to, where a run has seen that they are gone.

    `listed` is when the upstream was asked for the listing: what a pull has seen there since is not missing.
    """

    def __init__(self, database: Database, artifact_id: int, writer: Writer, *, listed: datetime) -> None:
        self._database = database
        self._artifact_id = artifact_id
        self._writer = writer
        self._tally = writer.tally
        self._listed = listed

    async def compare(self, listed: Collection[str], selected: Collection[str]) -> Comparison:
        """Compare what is held with a whole listing, of which `selected` passed the filters."""
        comparison = Comparison()
        after = ""
        while True:
            async with self._database.read() as session:
                rows = (
                    await session.exec(
                        select(Tag.name, Tag.missing_runs, Tag.left_out)
                        .where(Tag.artifact_id == self._artifact_id, col(Tag.name) > after)
                        .order_by(col(Tag.name))
                        .limit(_PAGE)
                    )
                ).all()
            for name, missing_runs, left_out in rows:
                comparison.held += 1
                if name not in listed:
                    (comparison.missing_again if missing_runs else comparison.missing_first).append(name)
                    continue
                if missing_runs:
                    comparison.back.append(name)
                if left_out != (name not in selected):
                    (comparison.taken if left_out else comparison.left).append(name)
            if len(rows) < _PAGE:
                await self._spare(comparison)
                self._tally.tags_missing = comparison.missing
                return comparison
            after = rows[-1][0]

    async def _spare(self, comparison: Comparison) -> None:
        """Take out what pulls have seen since the listing."""
        async with self._database.read() as session:
            for names in (comparison.missing_first, comparison.missing_again):
                seen = await tagging.seen_since(
                    session, self._artifact_id, names, self._listed, self._writer.now()
                )
                names[:] = [name for name in names if name not in seen]

    async def note(self, comparison: Comparison) -> None:
        """Write what is so of listed tags, and was not; of an unchanged repository, nothing."""
        await self._mark(comparison.back, missing_runs=0)
        await self._mark(comparison.left, left_out=True)
        await self._mark(comparison.taken, left_out=False)

    async def remove(self, comparison: Comparison, *, force: bool) -> None:
        """Remove tags that the run before this one missed as well; with `force`, all that are missing.

        Where more than half of what was held is missing, nothing is done without force: upstreams have
        listed too little before. To be called by runs that listed all pages and got most tags.
        """
        if not comparison.missing:
            return
        if force:
            await self._remove(comparison.missing_again + comparison.missing_first)
        elif 2 * comparison.missing > comparison.held:
            self._tally.reserve(
                f"The upstream no longer lists {comparison.missing} of the {comparison.held} tags that are"
                " held: they stay until it lists most of them again, or a sync is told to remove them"
                " (--force-removals)."
            )
        else:
            await self._mark(comparison.missing_first, missing_runs=1)
            await self._remove(comparison.missing_again)

    async def _mark(self, names: Iterable[str], **values: Any) -> None:
        for batch in batches(names):
            async with self._writer.transaction() as session:
                await session.exec(
                    update(Tag)
                    .where(col(Tag.artifact_id) == self._artifact_id, col(Tag.name).in_(batch))
                    .values(**values)
                )

    async def _remove(self, names: list[str]) -> None:
        for start in range(0, len(names), _REMOVED):
            batch = names[start : start + _REMOVED]
            async with self._writer.transaction() as session:
                removed = await tagging.remove_tags(
                    self._database,
                    session,
                    self._artifact_id,
                    batch,
                    self._writer.now(),
                    listed=self._listed,
                )
            self._tally.tags_removed += removed
            self._tally.tags_missing -= len(batch)
