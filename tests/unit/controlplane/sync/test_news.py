"""Who is woken when something of a sync job was written."""

import asyncio

from controlplane.sync.news import JobNews


async def _woken(news: JobNews, job_uid: str) -> bool:
    """Watch a job until it has news, for a moment at most."""
    with news.of(job_uid) as signal:
        return await signal.wait(signal.count, 0.2) > 0


async def test_only_who_watches_a_job_hears_of_it() -> None:
    """All of them, and none of those who watch another: fifty runs would otherwise have fifty look."""
    news = JobNews()
    watching = asyncio.gather(*(_woken(news, uid) for uid in ("one", "one", "other")))
    await asyncio.sleep(0)
    news.send("one")
    assert await watching == [True, True, False]


async def test_at_the_end_all_hear() -> None:
    """Whoever watches a control plane that stops must not wait."""
    news = JobNews()
    watching = asyncio.gather(*(_woken(news, uid) for uid in ("one", "other")))
    await asyncio.sleep(0)
    news.send_all()
    assert await watching == [True, True]


async def test_who_leaves_takes_nothing_from_who_stays() -> None:
    """One of two ends; the other still hears, and after both nothing is remembered."""
    news = JobNews()
    staying = asyncio.create_task(_woken(news, "one"))
    await asyncio.sleep(0)
    with news.of("one"):
        pass
    news.send("one")
    assert await staying
    news.send("one")
    with news.of("one") as signal:
        assert signal.count == 0
