"""Roles as people write them."""

from enum import StrEnum

from penstock.v1 import user_pb2


class Role(StrEnum):
    """What somebody may do, lowest first."""

    READ_ONLY = "read_only"
    READ_WRITE = "read_write"
    ADMIN = "admin"

    @property
    def value_in_api(self) -> "user_pb2.Role.ValueType":
        """The same role in the API."""
        return user_pb2.Role.Value(f"ROLE_{self.name}")


def written(role: "user_pb2.Role.ValueType") -> str:
    """Give a role of the API as people write it; empty where it is not set."""
    return "" if role == user_pb2.ROLE_UNSPECIFIED else user_pb2.Role.Name(role).removeprefix("ROLE_").lower()
