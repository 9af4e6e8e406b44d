"""Who makes the request that this task answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from controlplane.model.roles import Role
from controlplane.model.tables import User


@dataclass(frozen=True, slots=True)
class Caller:
    """A user with a token, or a node; `role` is the lower of the token's and the user's, None for a node."""

    user_uid: str = ""
    email: str = ""
    role: Role | None = None
    # Of whom the user is; None for administrators of the installation, and for nodes.
    organization_id: int | None = None
    # None for users.
    node_uid: str | None = None
    # Of whom the user is; None for users of the organization itself.
    customer_id: int | None = None
    token_uid: str = ""

    @property
    def is_node(self) -> bool:
        """Whether a data-plane node calls."""
        return self.node_uid is not None

    @property
    def of_installation(self) -> bool:
        """Whether this is a user without organization, who may see every one."""
        return self.node_uid is None and self.organization_id is None

    @property
    def of_customer(self) -> bool:
        """Whether this is a user of a customer, who may know of what is that customer's alone."""
        return self.customer_id is not None

    def may_see_user(self, user: User) -> bool:
        """Whether the caller may know of a user: of a customer, administrators know all, others one."""
        if not self.may_see(user.organization_id):
            return False
        if not self.of_customer:
            return True
        return user.customer_id == self.customer_id and (self.role == Role.ADMIN or user.uid == self.user_uid)

    def may_see_customer(self, organization_id: int | None, customer_id: int | None) -> bool:
        """Whether the caller may know of a customer of an organization, and of what is that customer's."""
        return self.may_see(organization_id) and self.customer_id in (None, customer_id)

    def may_see(self, organization_id: int | None) -> bool:
        """Whether the caller may know that something of this organization exists."""
        return self.of_installation or (
            self.organization_id is not None and self.organization_id == organization_id
        )


_CALLER: ContextVar[Caller] = ContextVar("caller")


def caller() -> Caller:
    """Give who makes this request; raises LookupError outside of one."""
    return _CALLER.get()


@contextmanager
def acting_as(who: Caller) -> Iterator[None]:
    """Answer a request of this caller in the block."""
    token = _CALLER.set(who)
    try:
        yield
    finally:
        _CALLER.reset(token)
