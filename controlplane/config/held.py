"""The configuration as the feed holds it: entries in the bytes that they are sent in."""

from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.model.section import Section

Entries = Mapping[str, bytes]
"""Serialized entries of a section, by their uids. As messages, a hundred thousand would take five times
the memory, and comparing them many times as long."""


@dataclass(frozen=True, slots=True)
class Held:
    """A configuration at a revision, and the revision at which each of its sections last changed."""

    revision: int
    changed_at: Mapping[Section, int]
    sections: Mapping[Section, Entries]
