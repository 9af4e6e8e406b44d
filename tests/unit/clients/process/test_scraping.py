"""Who may read metrics."""

import pytest

from clients.process.scraping import ScrapeToken


@pytest.mark.parametrize(
    ("authorization", "admitted"),
    [
        ("Bearer s3cret", True),
        ("bearer  s3cret", True),
        ("", False),
        ("Bearer", False),
        ("Bearer wrong", False),
        ("Basic s3cret", False),
        ("s3cret", False),
        ("Bearer s3crét", False),
    ],
)
def test_only_the_token_opens(authorization: str, admitted: bool) -> None:
    """As Bearer, whatever the case of the scheme; nothing else does."""
    assert ScrapeToken("s3cret").admits(authorization) is admitted


def test_without_a_token_everybody_may() -> None:
    """That is how it is unless it was set."""
    assert ScrapeToken("").admits("")
    assert ScrapeToken("").admits("Bearer anything")
