"""ECR's host names: account, region and partition of each form, and what only looks like one."""

import pytest

from controlplane.upstream.ecr_host import EcrHost


@pytest.mark.parametrize(
    ("host", "region", "partition", "fips"),
    [
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com", "us-east-1", "aws", False),
        ("123456789012.dkr.ecr.ap-southeast-2.amazonaws.com", "ap-southeast-2", "aws", False),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "aws-cn", False),
        ("123456789012.dkr.ecr.us-gov-west-1.amazonaws.com", "us-gov-west-1", "aws-us-gov", False),
        ("123456789012.dkr.ecr-fips.us-gov-east-1.amazonaws.com", "us-gov-east-1", "aws-us-gov", True),
        ("123456789012.dkr-ecr.eu-central-1.on.aws", "eu-central-1", "aws", False),
        ("123456789012.dkr-ecr-fips.us-east-2.on.aws", "us-east-2", "aws", True),
        (
            "123456789012.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn",
            "cn-northwest-1",
            "aws-cn",
            False,
        ),
    ],
)
def test_account_region_and_partition_come_from_the_name(
    host: str, region: str, partition: str, fips: bool
) -> None:
    """Commercial, China, GovCloud, FIPS and dual-stack names."""
    found = EcrHost.parse(host)
    assert found is not None
    assert (found.account, found.region, found.partition, found.fips) == (
        "123456789012",
        region,
        partition,
        fips,
    )


@pytest.mark.parametrize(
    "host",
    [
        "public.ecr.aws",
        "docker.io",
        "12345.dkr.ecr.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example",
        "evil.123456789012.dkr.ecr.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com.cn",
        "123456789012.dkr.ecr.cn-north-1.amazonaws.com",
        "123456789012.dkr.ecr.us-east-1.example.com",
        "123456789012xdkr.ecr.us-east-1.amazonaws.com",
        "123456789012.dkr.ecr.us-east-1.amazonaws.com:443",
    ],
)
def test_other_hosts_are_not_ecr(host: str) -> None:
    """An AWS token is never asked for, or sent, because a name merely looks right."""
    assert EcrHost.parse(host) is None
