"""The token service of a fake registry: anonymous Bearer tokens that expire."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass
class TokenService:
    """Issues tokens at `/token` and tells whether one is good; set on `FakeRegistry.tokens`."""

    service: str = "fake-registry"
    # Seconds that a token is good for.
    lifetime: float = 300
    # Whether the answer says so.
    tells_lifetime: bool = True
    # Names of the answer's fields that hold the token.
    fields: tuple[str, ...] = ("token",)
    # Where clients are sent for a token; empty is the registry's own `/token`.
    realm: str = ""
    # The whole challenge in place of the one that is made of the fields above.
    challenge: str = ""
    clock: Callable[[], float] = time.monotonic
    # Every token that was issued, oldest first, with the time at which it ends.
    issued: dict[str, float] = field(default_factory=dict)

    def revoke(self) -> None:
        """Makes every token that was issued so far a bad one."""
        for token in self.issued:
            self.issued[token] = self.clock()

    def challenge_for(self, base_url: str, repository: str) -> str:
        if self.challenge:
            return self.challenge
        parts = {"realm": self.realm or f"{base_url}/token", "service": self.service}
        if repository:
            parts["scope"] = f"repository:{repository}:pull"
        return "Bearer " + ",".join(f'{name}="{value}"' for name, value in parts.items())

    def accepts(self, headers: Mapping[str, str]) -> bool:
        """Tells whether a request carries a token that is still good."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and self.issued.get(token, 0) > self.clock()

    def issue(self) -> dict[str, str | float]:
        """Issues a token and returns the answer to the client."""
        token = f"fake-token-{len(self.issued) + 1}"
        self.issued[token] = self.clock() + self.lifetime
        document: dict[str, str | float] = dict.fromkeys(self.fields, token)
        if self.tells_lifetime:
            document["expires_in"] = self.lifetime
        return document
