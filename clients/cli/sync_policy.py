"""The options that set an artifact's policies and labels, alike where it is created and changed."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from clients.cli.failure import Failure
from clients.process.duration import parse_duration
from clients.process.exits import Exit
from penstock.v1.artifact_pb2 import Artifact, CachePolicy, SyncPolicy


class DeletedTags(StrEnum):
    """What becomes of tags that are gone upstream."""

    PRUNE = "prune"
    KEEP = "keep"


# What fits into a field of the API; how many are allowed is for it to say.
_LARGEST: Final = (1 << 31) - 1


def _option(help_text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=help_text, show_default=False, **more)


_OPTIONS: Final[Mapping[str, Any]] = {
    "label": Annotated[
        list[str] | None,
        _option("A label of it; repeat for more. Replaces all.", "--label", metavar="KEY=VALUE"),
    ],
    "schedule": Annotated[
        str | None,
        _option("When to sync it, like '0 * * * *' or @hourly; '' for the installation's.", "--schedule"),
    ],
    "paused": Annotated[
        bool | None, _option("Sync it by hand only, or by its schedule.", "--paused/--not-paused")
    ],
    "include_tags": Annotated[
        list[str] | None,
        _option(
            "Sync only tags of this pattern, with *, ? and [...]; repeat for more, '' for all tags.",
            "--include-tag",
            metavar="PATTERN",
        ),
    ],
    "exclude_tags": Annotated[
        list[str] | None,
        _option(
            "Do not sync tags of this pattern; repeat for more, '' for none.",
            "--exclude-tag",
            metavar="PATTERN",
        ),
    ],
    "version_range": Annotated[
        str | None,
        _option("Sync only tags that are versions within, like '>=1.2 <2' or ^1.4.", "--version-range"),
    ],
    "newest": Annotated[
        int | None,
        _option(
            "Sync only so many of the tags, the newest versions; 0 for all.",
            "--newest",
            min=0,
            max=_LARGEST,
        ),
    ],
    "platforms": Annotated[
        list[str] | None,
        _option(
            "Bring only manifests of this platform; repeat for more, '' for all.",
            "--platform",
            metavar="OS/ARCHITECTURE",
        ),
    ],
    "deleted_tags": Annotated[
        DeletedTags | None, _option("What becomes of tags that are gone upstream.", "--deleted-tags")
    ],
    "sync_only": Annotated[
        bool | None,
        _option("Whether pulls may ask the upstream for what no sync brought.", "--sync-only/--on-demand"),
    ],
    "max_tag_age": Annotated[
        str | None,
        _option(
            "Ask the upstream again about a tag that was not seen for so long, like 5m; '' for never.",
            "--max-tag-age",
            metavar="DURATION",
        ),
    ],
    "revalidate_before_answer": Annotated[
        bool | None,
        _option(
            "Whether a pull waits for that, or is answered at once.",
            "--revalidate-before-answer/--revalidate-after-answer",
        ),
    ],
    "pin_tags": Annotated[
        list[str] | None,
        _option(
            "Nodes do not evict what tags of this pattern reach; repeat for more, '' for none.",
            "--pin-tags",
            metavar="PATTERN",
        ),
    ],
    "prefetch_tags": Annotated[
        list[str] | None,
        _option(
            "Nodes fetch what tags of this pattern reach after a sync; repeat for more, '' for none.",
            "--prefetch-tags",
            metavar="PATTERN",
        ),
    ],
    "prefetch_platforms": Annotated[
        list[str] | None,
        _option(
            "Nodes fetch the layers of this platform when a manifest is asked for; repeat for more, '' for"
            " none.",
            "--prefetch-platform",
            metavar="OS/ARCHITECTURE",
        ),
    ],
}


_CACHE_POLICY: Final = frozenset(field.name for field in CachePolicy.DESCRIPTOR.fields)


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """The options that were given, by their fields; an empty list, or a '' in it, is a field to empty."""

    given: Mapping[str, Any]

    @property
    def paths(self) -> list[str]:
        """The fields of an artifact that they set, for an update mask."""
        return [
            "labels"
            if name == "label"
            else f"{'cache_policy' if name in _CACHE_POLICY else 'sync_policy'}.{name}"
            for name in self.given
        ]

    def fill(self, artifact: Artifact) -> Artifact:
        """Set them in an artifact, and give it; raises Failure for what cannot be read."""
        for name, value in self.given.items():
            match name:
                case "label":
                    artifact.labels.update(_label(text) for text in value if text)
                case "deleted_tags":
                    artifact.sync_policy.deleted_tags = SyncPolicy.DeletedTags.Value(value.upper())
                case "max_tag_age":
                    _set_age(artifact.sync_policy, value)
                case _ if name in _CACHE_POLICY:
                    getattr(artifact.cache_policy, name).extend(text for text in value if text)
                case "include_tags" | "exclude_tags" | "platforms":
                    getattr(artifact.sync_policy, name).extend(text for text in value if text)
                case _:
                    setattr(artifact.sync_policy, name, value)
        return artifact


def policy_summary(artifact: Artifact) -> str:
    """Give what a policy says that is not as usual: `newest 5, platforms linux/amd64`."""
    told = []
    for field, value in (*artifact.sync_policy.ListFields(), *artifact.cache_policy.ListFields()):
        name = field.name.replace("_", " ")
        if field.name == "deleted_tags":
            told += ["deleted tags keep"] if value == SyncPolicy.KEEP else []
        elif field.name == "max_tag_age":
            told.append(f"{name} {value.ToSeconds()}s")
        elif field.is_repeated:
            told.append(f"{name} {' '.join(value)}")
        else:
            told.append(name if value is True else f"{name} {value}")
    return ", ".join(told)


def with_sync_policy(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all these options, and its parameter `policy` what was made of them."""

    @functools.wraps(function)
    def run(*arguments: Any, **named: Any) -> Any:
        given = {name: named.pop(name) for name in _OPTIONS}
        # Typer gives an empty list for an option that was not used.
        used = {name: value for name, value in given.items() if value is not None and value != []}
        return function(*arguments, **named, policy=PolicyOptions(used))

    own = [
        parameter
        for parameter in inspect.signature(function, eval_str=True).parameters.values()
        if parameter.name != "policy"
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _OPTIONS.items()
    ]
    run.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]  # any function has one
    return run


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise Failure(f"{text!r} is no label: write it like team=shop.", Exit.USAGE)
    return key, value


def _set_age(policy: SyncPolicy, text: str) -> None:
    if not text:
        return
    try:
        policy.max_tag_age.FromTimedelta(parse_duration(text))
    except ValueError as error:
        raise Failure(f"--max-tag-age: {error}.", Exit.USAGE) from error
