"""What a message of a newer control plane says that this version has no fields for; see config.proto."""

from collections.abc import Iterator
from typing import Final

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from dataplane.config.entries import InvalidConfiguration
from penstock.v1 import config_pb2

# Fields from this number on may be passed over by who does not know them.
_MAY_BE_PASSED_OVER: Final = 100

_Message = config_pb2.Configuration | config_pb2.ConfigurationChange


def not_understood(message: _Message) -> dict[str, str]:
    """Give the entries to go on without, by uid, as sentences.

    Raises InvalidConfiguration for what may concern everybody: the message, an organization, a customer.
    """
    for kind, whole in _wholes(message):
        if unknown := _unknown(whole):
            raise InvalidConfiguration(
                f"{kind} has {unknown} of a newer version, which may take away what is allowed: "
                "update this node."
            )
    return {
        uid: f"{kind} {uid} has {unknown} of a newer version, and is left out."
        for kind, uid, part in _parts(message)
        if (unknown := _unknown(part))
    }


def _wholes(message: _Message) -> Iterator[tuple[str, Message]]:
    yield "It", message
    for organization in message.organizations:
        yield f"The organization {organization.uid}", organization
    for customer in message.customers:
        yield f"The customer {customer.uid}", customer


def _parts(message: _Message) -> Iterator[tuple[str, str, Message]]:
    for artifact in message.artifacts:
        yield "The artifact", artifact.uid, artifact
    for token in message.tokens:
        yield "The token", token.uid, token
    known = config_pb2.EntitlementConfig()
    for entitlement in message.entitlements:
        # There may be a hundred thousand, and a copy costs two thirds of a look at all parts of one.
        known.CopyFrom(entitlement)
        known.DiscardUnknownFields()
        if known.ByteSize() != entitlement.ByteSize():
            yield "The entitlement", entitlement.uid, entitlement
            for grant in entitlement.grants:
                yield "The entitlement", entitlement.uid, grant
                yield "The entitlement", entitlement.uid, grant.tags


def _unknown(message: Message) -> str:
    fields = UnknownFieldSet(message)
    for index in range(len(fields)):
        if (number := fields[index].field_number) < _MAY_BE_PASSED_OVER:
            return f"a field {number}"
    return ""
