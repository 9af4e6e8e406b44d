"""Roles: what users and their tokens may do."""

from enum import IntEnum


class Role(IntEnum):
    """The values of penstock.v1.Role; a higher one may do all that a lower one may."""

    READ_ONLY = 1
    READ_WRITE = 2
    ADMIN = 3

    def __str__(self) -> str:
        return self.name.lower()


def parse_role(number: int) -> Role:
    """Give the role of a value of penstock.v1.Role; raises ValueError with a sentence."""
    try:
        return Role(number)
    except ValueError:
        raise ValueError(
            f"{number} is no role: give ROLE_READ_ONLY, ROLE_READ_WRITE or ROLE_ADMIN."
        ) from None


def effective_role(user: int, token: int | None) -> Role:
    """Give the lower of a user's role and that of the token in use, None where it has none."""
    return Role(user if token is None else min(user, token))
