"""One google.api.http rule of a method: from the parts of an HTTP request to its message."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.api import annotations_pb2, http_pb2  # type: ignore[import-untyped]  # they ship no types
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from controlplane.api.errors import Violation, invalid
from controlplane.web.rest.template import Template

_WHOLE: Final = "*"
# Messages that JSON writes as one string, as a query parameter can.
_TEXTS: Final = frozenset(
    f"google.protobuf.{name}" for name in ("Timestamp", "Duration", "FieldMask", "StringValue")
)
# What parsers say of a body; the last two of enums: of an infinite number, and of a text that is no Unicode.
_UNREADABLE: Final = (json_format.ParseError, ValueError, RecursionError, OverflowError, SystemError)
_TRUTHS: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Binding:
    """That a verb and a path stand for a method."""

    method: MethodDescriptor
    verb: str
    template: Template
    # The field that the body is, `*` for the whole request; empty where it takes none.
    body: str

    def request(self, path: Mapping[str, str], query: Mapping[str, Iterable[str]], body: bytes) -> Message:
        """Make the method's request; raises ApiError INVALID_ARGUMENT that names the parameter."""
        message: Message = GetMessageClass(self.method.input_type)()
        if self.body:
            _merge_body(message, self.body, body)
        if self.body != _WHOLE:
            for name, values in query.items():
                _set(message, name, list(values), reserved=(*path, self.body))
        # Last of all: nothing else in the request may name another resource than its path.
        for name, value in path.items():
            _put(message, _path(message, name), [value], name)
        return message


def bindings(method: MethodDescriptor) -> Iterator[Binding]:
    """Give the rules of a method, its additional bindings included; none where it has no rule."""
    rule = method.GetOptions().Extensions[annotations_pb2.http]
    for each in (rule, *rule.additional_bindings):
        verb = each.WhichOneof("pattern")
        if verb is not None:
            yield _binding(method, each, verb)


def _binding(method: MethodDescriptor, rule: http_pb2.HttpRule, verb: str) -> Binding:
    if verb == "custom":
        raise ValueError(f"{method.full_name}: custom verbs are not served")
    return Binding(method, verb.upper(), Template.parse(getattr(rule, verb)), rule.body)


def _merge_body(message: Message, field: str, body: bytes) -> None:
    if not body.strip():
        return
    target = message if field == _WHOLE else getattr(message, field)
    where = "body" if field == _WHOLE else field
    target.SetInParent()
    try:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise invalid([Violation(where, "must be a JSON object, like {}.")])
        json_format.ParseDict(document, target)
    except _UNREADABLE as error:
        raise invalid([Violation(where, f"is no JSON of {target.DESCRIPTOR.name}: {error}")]) from error


def _set(message: Message, name: str, values: list[str], reserved: tuple[str, ...]) -> None:
    fields = _path(message, name)
    written = ".".join(field.name for field in fields)
    if not fields or any(written == each or written.startswith(f"{each}.") for each in reserved if each):
        raise invalid([Violation(name[:100], "is no parameter of this method: leave it out.")])
    _put(message, fields, values, name)


def _path(message: Message, name: str) -> list[FieldDescriptor]:
    """Follow a dotted name, in either spelling of its parts; empty where it leads to nothing to set."""
    fields: list[FieldDescriptor] = []
    within: Descriptor | None = message.DESCRIPTOR  # type: ignore[assignment]  # two names of one class
    for part in name.split("."):
        field = None
        if within is not None:
            field = within.fields_by_name.get(part) or within.fields_by_camelcase_name.get(part)
        if field is None:
            return []
        fields.append(field)
        within = field.message_type
    if within is not None and within.full_name not in _TEXTS:
        return []
    return fields if not any(field.is_repeated for field in fields[:-1]) else []


def _put(message: Message, fields: list[FieldDescriptor], values: list[str], name: str) -> None:
    last = fields[-1]
    if len(values) > 1 and not last.is_repeated:
        raise invalid([Violation(name, "is there more than once: give it once.")])
    read = [_value(last, value) for value in values]
    document: Any = read if last.is_repeated else read[0]
    for field in reversed(fields):
        document = {field.name: document}
    try:
        # Into a message of its own: parsing refuses to set a field a second time.
        message.MergeFrom(json_format.ParseDict(document, type(message)()))
    except json_format.ParseError as error:
        raise invalid([Violation(name, f"cannot be read: {error}")]) from error


def _value(field: FieldDescriptor, text: str) -> Any:
    # JSON of protobuf takes numbers and names of enums as strings, but not truth.
    return _TRUTHS.get(text.lower(), text) if field.type == FieldDescriptor.TYPE_BOOL else text
