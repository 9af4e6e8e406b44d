"""Answers to requests that only validate (AIP-163)."""

from typing import Final, TypeVar

from google.protobuf.message import Message

_Resource = TypeVar("_Resource", bound=Message)

# What only a resource that was saved has.
_SAVED: Final = ("uid", "create_time", "update_time", "etag")


def preview(resource: _Resource) -> _Resource:
    """Take from a resource that would have been created what it then would have got."""
    for name in _SAVED:
        if name in resource.DESCRIPTOR.fields_by_name:
            resource.ClearField(name)
    return resource
