"""Rules of grants as their column has them: few are different, so reading one again costs a look-up."""

import json
from functools import lru_cache
from typing import Final

from clients.oci.tag_rule import TagRule
from penstock.v1 import entitlement_pb2 as pb

_REMEMBERED: Final = 1 << 12


def written(rule: pb.TagRule) -> str:
    """Give the text of a column for a rule that was checked."""
    if rule.all_tags:
        return json.dumps({"all_tags": True})
    return json.dumps({"patterns": list(rule.patterns), "version_ranges": list(rule.version_ranges)})


@lru_cache(_REMEMBERED)
def message(text: str) -> pb.TagRule:
    """Give the rule of a column, as it was given; not to be changed."""
    return pb.TagRule(**json.loads(text))


def rule(message: pb.TagRule) -> TagRule:
    """Give the rule to decide by; raises InvalidRule."""
    return TagRule.of(
        all_tags=message.all_tags, patterns=message.patterns, version_ranges=message.version_ranges
    )
