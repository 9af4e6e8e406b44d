"""Pulls and their sums as messages."""

from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.analytics.holders import Holder
from controlplane.analytics.names import Name, Names
from controlplane.analytics.summing import Question, start_of
from controlplane.analytics.times import moment
from controlplane.api.timestamps import timestamp
from controlplane.model.naming import ArtifactName
from penstock.v1 import pull_pb2 as pb

# Dimensions whose name is all that is told of them, and the field that it is told in.
_PLAIN: Final = {
    "tag_id": "tag",
    "digest_id": "digest",
    "address_id": "address",
    "client_id": "client",
    "platform_id": "platform",
}


def pull_message(organization: str, row: Any, names: Names) -> pb.Pull:
    """Give a pull."""
    user = names.of(row.user_id)
    plain = {field: names.of(getattr(row, column)).name for column, field in _PLAIN.items()}
    return pb.Pull(
        id=row.event_id.hex(),
        time=time_of(row.time),
        kind=row.kind,
        artifact=_artifact(organization, names.of(row.artifact_id)),
        artifact_uid=names.of(row.artifact_id).uid,
        customer=_customer(organization, names.of(row.customer_id)),
        customer_uid=names.of(row.customer_id).uid,
        user=user.name,
        user_uid=user.uid,
        user_display_name=user.display_name,
        token_uid=names.of(row.token_id).uid,
        platform_digest=names.of(row.platform_digest_id).name,
        bytes_sent=row.bytes_sent,
        warm_blobs=row.warm_blobs,
        cold_blobs=row.cold_blobs,
        completed=row.completed,
        bytes_redirected=row.bytes_redirected,
        **plain,
    )


def sum_message(organization: str, question: Question, row: Any, names: Names) -> pb.PullSum:
    """Give a sum."""
    message = pb.PullSum(
        pulls=int(row.pulls),
        cold_pulls=int(row.cold_pulls),
        checks=int(row.checks),
        bytes_sent=int(row.bytes_sent),
        bytes_redirected=int(row.bytes_redirected),
        last_time=time_of(row.last_time),
        distinct_users=row.users,
        distinct_customers=row.customers,
    )
    if row.bucket is not None:
        message.start_time.CopyFrom(time_of(start_of(question.period, int(row.bucket))))
    for column in question.by:
        name = names.of(getattr(row, column))
        match column:
            case "artifact_id":
                message.artifact, message.artifact_uid = _artifact(organization, name), name.uid
            case "customer_id":
                message.customer, message.customer_uid = _customer(organization, name), name.uid
            case "user_id":
                message.user, message.user_uid = name.name, name.uid
            case "token_id":
                message.token_uid = name.uid
            case _:
                setattr(message, _PLAIN[column], name.name)
    return message


def holder_message(organization: str, holder: Holder) -> pb.VersionHolder:
    """Give who holds a version."""
    return pb.VersionHolder(
        customer=_customer(organization, holder.customer),
        customer_uid=holder.customer.uid,
        tag=holder.tag,
        last_time=time_of(holder.last_time),
    )


def time_of(since_1970: int) -> Timestamp:
    """Give a time in milliseconds."""
    return timestamp(moment(since_1970)) or Timestamp()


def _artifact(organization: str, name: Name) -> str:
    return str(ArtifactName(organization, name.name)) if name.name else ""


def _customer(organization: str, name: Name) -> str:
    return f"organizations/{organization}/customers/{name.name}" if name.name else ""
