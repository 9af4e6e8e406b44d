"""Which platforms of an index are kept."""

import pytest

from clients.oci.platform import InvalidPlatform, check_platform, is_kept


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm64/v8", "windows/amd64", "linux/arm/v7"])
def test_platforms_are_taken(text: str) -> None:
    """As container tools write them."""
    assert check_platform(text) == text


@pytest.mark.parametrize(
    "text", ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "Linux/amd64", "a b/c", "*/*"]
)
def test_what_is_no_platform_is_refused(text: str) -> None:
    """With a good example."""
    with pytest.raises(InvalidPlatform, match="linux/amd64"):
        check_platform(text)


@pytest.mark.parametrize(
    ("platform", "kept", "yes"),
    [
        ("linux/amd64", (), True),
        ("linux/amd64", ("linux/amd64",), True),
        ("linux/arm64/v8", ("linux/amd64",), False),
        ("linux/arm64/v8", ("linux/arm64",), True),
        ("linux/arm64", ("linux/arm64/v8",), True),
        ("linux/arm", ("linux/arm/v7",), True),
        ("linux/arm/v6", ("linux/arm/v7",), False),
        ("linux/amd64", ("linux/amd64/v3",), False),
        ("windows/amd64", ("linux/amd64",), False),
        ("linux/s390x", ("linux/amd64", "linux/s390x"), True),
        # An index in an index, and an attestation.
        ("", ("linux/amd64",), True),
        ("unknown/unknown", ("linux/amd64",), True),
        ("linux", ("linux/arm64/v8",), False),
    ],
)
def test_what_is_kept(platform: str, kept: tuple[str, ...], yes: bool) -> None:
    """A variant that is not written is the usual one; a kept platform without one takes all."""
    assert is_kept(platform, kept) is yes
