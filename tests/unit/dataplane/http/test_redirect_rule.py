"""Who is redirected to the bucket, and for what."""

import pytest

from clients.process.exits import ConfigurationError
from dataplane.http.redirect_rule import RedirectRule

NETWORKS = "10.0.0.0/8, 2001:db8::/32,192.0.2.7"


@pytest.mark.parametrize(
    ("redirect", "size", "concerned"),
    [
        ("never", 1 << 40, False),
        ("always", 1, True),
        ("always", 0, False),
        ("16MiB", 16 << 20, False),
        ("16MiB", (16 << 20) + 1, True),
    ],
)
def test_sizes(redirect: str, size: int, *, concerned: bool) -> None:
    """Never, always, or what is larger than a size; nothing is no reason to go elsewhere."""
    assert RedirectRule.parse(redirect, "").concerns(size, "198.51.100.1") is concerned


@pytest.mark.parametrize(
    ("address", "concerned"),
    [
        ("10.20.30.40", False),
        ("11.20.30.40", True),
        ("192.0.2.7", False),
        ("192.0.2.8", True),
        ("2001:db8:1::1", False),
        ("2001:db9::1", True),
        # As a socket for both kinds of addresses tells it.
        ("::ffff:10.20.30.40", False),
        ("::ffff:11.20.30.40", True),
        # Who cannot be told is not sent away.
        ("", False),
    ],
)
def test_networks(address: str, *, concerned: bool) -> None:
    """Clients in a listed network get blobs from the node."""
    assert RedirectRule.parse("always", NETWORKS).concerns(1, address) is concerned


@pytest.mark.parametrize(
    ("redirect", "networks", "named"),
    [
        ("sometimes", "", "PENSTOCK_S3_REDIRECT is 'sometimes'"),
        ("16 megabytes", "", "PENSTOCK_S3_REDIRECT is '16 megabytes'"),
        ("", "", "PENSTOCK_S3_REDIRECT is ''"),
        ("always", "10.0.0.1/8", "PENSTOCK_S3_REDIRECT_EXCEPT: 10.0.0.1/8 has host bits set"),
        ("always", "lan", "PENSTOCK_S3_REDIRECT_EXCEPT: 'lan'"),
    ],
)
def test_what_cannot_be_understood(redirect: str, networks: str, named: str) -> None:
    """The setting is named: a typing error must not send customers elsewhere."""
    with pytest.raises(ConfigurationError) as caught:
        RedirectRule.parse(redirect, networks)
    assert named in str(caught.value)
