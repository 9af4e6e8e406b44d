"""Which registry hosts are Amazon ECR's, and what their names say.

Names: Amazon ECR User Guide, "Private registry" and "Dual-stack endpoints"; `public.ecr.aws` is not one of
them: it is an ordinary registry with Bearer tokens.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

_REGION: Final = r"(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)"
_FORMS: Final = tuple(
    re.compile(rf"(?P<account>\d{{12}})\.{form}")
    for form in (
        rf"dkr\.ecr(?P<fips>-fips)?\.{_REGION}\.amazonaws\.com(?:\.cn)?",
        rf"dkr-ecr(?P<fips>-fips)?\.{_REGION}\.on\.(?:aws|amazonwebservices\.com\.cn)",
    )
)


@dataclass(frozen=True, slots=True)
class EcrHost:
    """A private ECR registry: an account in a region."""

    # Twelve digits.
    account: str
    region: str
    # The FIPS endpoints are to be used.
    fips: bool

    @classmethod
    def parse(cls, host: str) -> Self | None:
        """Read a registry host, without a port; None for one that is not private ECR's."""
        for form in _FORMS:
            match = form.fullmatch(host)
            if match is not None and _of_its_partition(match["region"], host):
                return cls(match["account"], match["region"], match["fips"] is not None)
        return None

    @property
    def partition(self) -> str:
        """The AWS partition: `aws`, `aws-cn` or `aws-us-gov`."""
        if self.region.startswith("cn-"):
            return "aws-cn"
        return "aws-us-gov" if self.region.startswith("us-gov-") else "aws"


def _of_its_partition(region: str, host: str) -> bool:
    # A China region elsewhere, or another region under China's domain, is nobody's registry.
    return region.startswith("cn-") == host.endswith(".cn")
