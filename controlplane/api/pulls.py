"""PullService: who pulled what."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from clients.oci.version import VersionRange
from controlplane.analytics import export, listing, pages
from controlplane.analytics.choice import COLUMNS, Choice
from controlplane.analytics.holders import holders
from controlplane.analytics.listing import Place
from controlplane.analytics.names import Names
from controlplane.analytics.pages import Shown
from controlplane.analytics.summing import Period, Question
from controlplane.analytics.times import milliseconds
from controlplane.api.paging import number, page
from controlplane.api.pull_choice import read_choice
from controlplane.api.pull_messages import holder_message, pull_message, sum_message, time_of
from controlplane.api.pull_sight import look_up
from controlplane.api.timestamps import moment
from controlplane.api.validation import Violations
from controlplane.model.database import Database
from controlplane.model.naming import ArtifactName, OrganizationName
from controlplane.model.pull_tables import NameKind
from penstock.v1 import pull_pb2 as pb
from penstock.v1.pull_pb2_grpc import PullServiceServicer

_Sums = pb.SumPullsRequest
_PERIODS: Final = {
    _Sums.PERIOD_UNSPECIFIED: Period.ALL,
    _Sums.HOUR: Period.HOUR,
    _Sums.DAY: Period.DAY,
    _Sums.WEEK: Period.WEEK,
}
_FORMATS: Final = {
    pb.ExportPullsRequest.CSV: export.Format.CSV,
    pb.ExportPullsRequest.JSON_LINES: export.Format.JSON_LINES,
}
_SUMMED: Final = timedelta(days=30)
_HELD: Final = timedelta(days=90)


class PullServicer(PullServiceServicer):
    """Answers from the tables of pulls; `now` is the time of day in UTC."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def ListPulls(self, request: pb.ListPullsRequest, _context: object) -> pb.ListPullsResponse:
        """Answer ListPulls."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            choice = read_choice(request.filter, parent.organization if parent else "", violations)
            wanted = page(
                request, f"{request.parent}/pulls {_scope(request.filter)}", violations, Place.parse
            )
        names = Names()
        async with self._database.read() as session:
            chosen = await look_up(session, parent, choice)
            rows = await listing.page(session, chosen, names, after=wanted.after, limit=wanted.limit)
        shown, token = wanted.cut(rows, lambda row: str(Place.of(row)))
        return pb.ListPullsResponse(
            pulls=[pull_message(parent.organization, row, names) for row in shown], next_page_token=token
        )

    async def SumPulls(self, request: pb.SumPullsRequest, _context: object) -> pb.SumPullsResponse:
        """Answer SumPulls."""
        now = milliseconds(self._now())
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            choice = read_choice(request.filter, parent.organization if parent else "", violations)
            wanted = page(request, f"{request.parent}/sums {_scope(request)}", violations, Shown.parse)
            if request.period not in _PERIODS:
                violations.add("period", "is none of those that there are.")
            if not {*request.group_by} <= {*map(int, NameKind)}:
                violations.add("group_by", "has a dimension that there is not.")
        end = now if choice.end is None else choice.end
        start = end - _SUMMED // timedelta(milliseconds=1) if choice.start is None else choice.start
        names = Names()
        async with self._database.read() as session:
            chosen = await look_up(session, parent, replace(choice, start=start, end=end))
            if choice.end is None:
                # Of nodes whose clocks are ahead: a list without an end has them as well.
                coming = replace(chosen, start=max(start, end), end=None)
                _, newest = await listing.extent(session, coming)
                chosen = replace(chosen, end=max(end, newest + 1))
            question = Question(
                chosen,
                _PERIODS[request.period],
                tuple(dict.fromkeys(COLUMNS[NameKind(each)] for each in request.group_by)),
                request.distinct,
            )
            before = wanted.after or Shown()
            rows = await pages.page(session, question, names, before, limit=wanted.limit)
        shown, token = wanted.cut(rows, lambda _: str(before.and_these(rows[: wanted.size])))
        return pb.SumPullsResponse(
            sums=[sum_message(parent.organization, question, row, names) for row in shown],
            next_page_token=token,
            start_time=time_of(question.start),
            end_time=time_of(question.end),
        )

    async def ListVersionHolders(
        self, request: pb.ListVersionHoldersRequest, _context: object
    ) -> pb.ListVersionHoldersResponse:
        """Answer ListVersionHolders."""
        since = self._now() - _HELD
        versions = None
        with Violations() as violations:
            parent = violations.check("parent", ArtifactName.parse, request.parent)
            wanted = page(
                request, f"{request.parent}/versionHolders {request.version_range}", violations, number
            )
            if request.version_range:
                versions = violations.check("version_range", VersionRange.parse, request.version_range)
            if request.HasField("start_time"):
                since = violations.check("start_time", moment, request.start_time)
        choice = Choice(start=milliseconds(since), names={NameKind.ARTIFACT: parent.path})
        async with self._database.read() as session:
            chosen = await look_up(session, OrganizationName(parent.organization), choice)
            found = await holders(session, chosen, versions)
        offset = wanted.after or 0
        shown, token = wanted.cut(found[offset : offset + wanted.limit], lambda _: str(offset + wanted.size))
        return pb.ListVersionHoldersResponse(
            version_holders=[holder_message(parent.organization, holder) for holder in shown],
            next_page_token=token,
        )

    async def ExportPulls(
        self, request: pb.ExportPullsRequest, _context: object
    ) -> AsyncGenerator[pb.ExportPullsResponse, None]:
        """Stream the file."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            choice = read_choice(request.filter, parent.organization if parent else "", violations)
            if request.format not in _FORMATS:
                violations.add("format", "must be CSV or JSON_LINES.")
        async with self._database.read() as session:
            chosen = await look_up(session, parent, choice)
            total, newest = await listing.extent(session, chosen)
        # What is newer and comes while it is written is not in it. That is not told by this process's clock:
        # a node's may be ahead of it.
        chosen = replace(chosen, end=newest + 1)
        yield pb.ExportPullsResponse(total=total)
        async with aclosing(export.pieces(self._database, chosen, _FORMATS[request.format])) as pieces:
            async for piece in pieces:
                yield pb.ExportPullsResponse(content=piece.content, pulls=piece.pulls)


def _scope(message: pb.PullFilter | pb.SumPullsRequest) -> str:
    """Give what a page token belongs to: all of the request but the page."""
    if isinstance(message, pb.PullFilter):
        return message.SerializeToString(deterministic=True).hex()
    bare = pb.SumPullsRequest()
    bare.CopyFrom(message)
    bare.ClearField("page_token")
    bare.ClearField("page_size")
    return bare.SerializeToString(deterministic=True).hex()
