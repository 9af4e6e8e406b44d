"""Pull events as nodes report them, and who takes them."""

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.analytics.event import Event
from controlplane.analytics.recorder import Recorder
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.identifiers import new_uid
from controlplane.model.tables import Organization, User
from penstock.v1.pull_pb2 import PullEvent
from tests.fakes.rows import NOW, add, add_artifact, add_organization

KEPT = timedelta(days=90)
_numbers = itertools.count(1)


def event(at: datetime = NOW, **fields: Any) -> PullEvent:
    """Makes an event with an id of its own: a warm, completed pull unless the fields say otherwise."""
    time = Timestamp()
    time.FromDatetime(at)
    usual = {
        "id": f"{next(_numbers):032x}",
        "kind": PullEvent.PULL,
        "completed": True,
        "warm_blobs": 2,
        "address": "192.0.2.1",
    }
    return PullEvent(time=time, **usual | fields)


@dataclass
class Counts:
    """What became of events."""

    stored_events: list[tuple[str, str, str, Event]] = field(default_factory=list)
    repeated_events: int = 0
    refused_events: int = 0

    def stored(self, organization: str, artifact: str, customer: str, event: Event) -> None:
        self.stored_events.append((organization, artifact, customer, event))

    def repeated(self, count: int) -> None:
        self.repeated_events += count

    def refused(self, count: int) -> None:
        self.refused_events += count


@dataclass
class Vendor:
    """An organization with an artifact, two customers, a user of each and one of its own."""

    database: Database
    organization: Organization
    app: Artifact
    globex_uid: str
    initech_uid: str
    users: dict[str, User]
    counts: Counts

    @classmethod
    async def make(cls, database: Database) -> "Vendor":
        """Adds them."""
        organization = await add_organization(database)
        app = await add_artifact(database, "127.0.0.1:1/app", "team/app", organization=organization)
        users = {}
        for name in ("hank", "bill", "ann"):
            users[name] = User(
                uid=new_uid(),
                organization_id=organization.id,
                email=f"{name}@example.com",
                display_name=name.title(),
                role=1,
                create_time=NOW,
                update_time=NOW,
            )
            await add(database, users[name])
        return cls(database, organization, app, new_uid(), new_uid(), users, Counts())

    def pull(self, user: str = "ann", tag: str = "1.0", at: datetime = NOW, **fields: Any) -> PullEvent:
        """Makes an event of one of the users, `hank` (of globex), `bill` (of initech) or `ann`."""
        customer = {"hank": self.globex_uid, "bill": self.initech_uid}.get(user, "")
        usual = {
            "organization_uid": self.organization.uid,
            "artifact_uid": self.app.uid,
            "customer_uid": customer,
            "user_uid": self.users[user].uid,
            "token_uid": f"token of {user}",
            "tag": tag,
            "digest": f"sha256:{tag}",
            "client": "docker/20.10",
        }
        return event(at, **usual | fields)

    async def report(self, *events: PullEvent, now: datetime = NOW) -> None:
        """Has the events stored, as a node does."""
        await Recorder(self.database, self.counts, keep=KEPT, now=lambda: now).record(events)
