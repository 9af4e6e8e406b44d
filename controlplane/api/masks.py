"""Update masks (AIP-134, AIP-161): which fields of a resource a request changes."""

from collections.abc import Collection
from typing import Any, Final

from google.api import field_behavior_pb2  # type: ignore[import-untyped]  # it ships no types
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from controlplane.api.validation import Violations

# Not content: it says which version is meant.
_ETAG: Final = "etag"
_EVERYTHING: Final = "*"
_OWN: Final = "penstock."


def masked_fields(mask: FieldMask, resource: Message, violations: Violations) -> frozenset[str]:
    """Give the names of the fields to change.

    Those that are set where the mask is empty, all for `*`. A field of a message within is given as its
    path. Fields that only the server sets are left out, named or not, so that what was read can be sent
    back; one that does not exist is a violation. An immutable field is given like any other: comparing
    it is left to the caller.
    """
    fields = {item.name: item for item in resource.DESCRIPTOR.fields}
    changeable = {
        name for name, item in fields.items() if name != _ETAG and not _of_server(item.GetOptions())
    }
    if not mask.paths:
        return frozenset(item.name for item, _ in resource.ListFields() if item.name in changeable)
    if list(mask.paths) == [_EVERYTHING]:
        return frozenset(changeable)
    wanted = set()
    for path in mask.paths:
        name, _, below = path.partition(".")
        if name in changeable and (not below or below in _parts(fields[name])):
            wanted.add(path)
        elif name not in fields or name in changeable:
            violations.add(
                "update_mask",
                f"{path[:80]!r} cannot be changed: give some of {', '.join(sorted(changeable))}, or * alone.",
            )
    return frozenset(wanted)


def _parts(field: Any) -> Collection[str]:
    """Give the names of a message's own fields, where the field is one message of this API."""
    message = field.message_type
    if message is None or field.is_repeated or not message.file.package.startswith(_OWN):
        return ()
    return frozenset(item.name for item in message.fields)


def _of_server(options: Message) -> bool:
    behaviours = options.Extensions[field_behavior_pb2.field_behavior]
    return field_behavior_pb2.OUTPUT_ONLY in behaviours or field_behavior_pb2.IDENTIFIER in behaviours
