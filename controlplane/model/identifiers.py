"""Ids: what rows are known by, alone or as part of a resource name.

An artifact's id is its repository name below the organization, which may have several components; in resource
names they are separated by `~`, which repository names never contain.
"""

import re
import uuid
from collections.abc import Callable
from typing import Final

from clients.oci.reference import InvalidReference, check_repository, check_tag

_SLUG: Final = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*", re.ASCII)
_SLUG_LENGTH: Final = range(2, 64)
_ID: Final = re.compile(r"[a-z0-9-]{1,63}", re.ASCII)
_EMAIL: Final = re.compile(r"[^\s@/\x00-\x1f\x7f]+@[^\s@/\x00-\x1f\x7f]+")
_EMAIL_LENGTH: Final = 254
_UID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
# Stands for every user of an organization (AIP-159).
ANY_USER: Final = "-"


class InvalidName(ValueError):
    """A name or id of another form; `str()` is a sentence with a good example."""


def new_uid() -> str:
    """Make the immutable public identity of a new row."""
    return str(uuid.uuid4())


def check_slug(text: str) -> str:
    """Give an organization's id back if it is one; raises InvalidName."""
    if len(text) not in _SLUG_LENGTH or not _SLUG.fullmatch(text):
        raise InvalidName(
            f"{shown(text)} is no organization id: give 2 to 63 of a-z and 0-9, with single - _ . within,"
            " like acme."
        )
    return text


def check_email(text: str) -> str:
    """Give an e-mail address in lower case, if it is one; raises InvalidName."""
    if len(text) > _EMAIL_LENGTH or not _EMAIL.fullmatch(text):
        raise InvalidName(f"{shown(text)} is no e-mail address: give one like ci@example.com.")
    return text.lower()


def check_artifact_id(text: str) -> str:
    """Give the path that an artifact's id means, separators as in repositories; raises InvalidName."""
    return check_repository_name(text.replace("~", "/"))


def check_repository_name(text: str) -> str:
    """Give back what clients can pull by, with its organization or without; raises InvalidName."""
    try:
        return check_repository(text)
    except InvalidReference as error:
        raise InvalidName(str(error)) from error


def check_tag_id(text: str) -> str:
    """Give a tag back if it is one; raises InvalidName."""
    try:
        return check_tag(text)
    except InvalidReference as error:
        raise InvalidName(str(error)) from error


def _id_of(kind: str, example: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if not _ID.fullmatch(text):
            raise InvalidName(
                f"{shown(text)} is no {kind} id: give 1 to 63 of a-z, 0-9 and -, like {example}."
            )
        return text

    return check


# Each gives an id of its kind back if it is one; raises InvalidName.
check_node_id: Final = _id_of("node", "eu-west-1a")
check_credential_id: Final = _id_of("credential", "ecr-prod")
check_customer_id: Final = _id_of("customer", "globex")
check_entitlement_id: Final = _id_of("entitlement", "trial")


def uid_of(kind: str) -> Callable[[str], str]:
    """Give what checks the uid of something; it gives the uid back, or raises InvalidName."""

    def check(text: str) -> str:
        if not _UID.fullmatch(text):
            raise InvalidName(f"{shown(text)} is no {kind} id: give one as the lists show it.")
        return text

    return check


_check_user_uid: Final = uid_of("user")


def check_user(text: str) -> str:
    """Give what names a user: a uid, an e-mail address, or ANY_USER; raises InvalidName."""
    if "@" in text:
        return check_email(text)
    return text if text == ANY_USER else _check_user_uid(text)


def shown(text: str) -> str:
    """Quote what somebody gave for a sentence about it, cut to a length that one reads."""
    return repr(text if len(text) <= 80 else f"{text[:80]}...")
