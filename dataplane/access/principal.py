"""Who is behind a token."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """The owner of a token, as far as pulling goes."""

    token_uid: str
    user_uid: str
    organization_uid: str
    """Empty for the administrator of the installation, who may pull everything."""
    role: int
    """A value of penstock.v1.Role: the lower of the token's and its user's."""
    expires_at: float | None
    """Seconds since the epoch; None never."""
    customer_uid: str = ""
    """Empty for a member of the organization itself."""
