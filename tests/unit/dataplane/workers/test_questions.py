"""Questions to one worker: each gets its own answer, and none waits for a worker that is gone."""

import asyncio
from typing import Any

import pytest

from dataplane.workers.questions import Questions, WorkerGone


async def asked(questions: Questions, count: int) -> list[asyncio.Task[str | None]]:
    """So many questions, which are under way."""
    tasks = [asyncio.create_task(questions.ask({"target": f"/{index}"})) for index in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_answers_find_who_asked() -> None:
    """In whatever order they come; one that nobody asked for, or comes twice, is nobody's."""
    sent: list[dict[str, Any]] = []
    questions = Questions(sent.append)
    tasks = await asked(questions, 2)
    numbers = [message["question"]["number"] for message in sent]
    assert [message["question"]["target"] for message in sent] == ["/0", "/1"]
    for number, body in [(numbers[1], "two"), (99, "?"), (numbers[1], "again"), (numbers[0], None)]:
        questions.answered({"number": number, "body": body})
    assert await asyncio.gather(*tasks) == [None, "two"]


async def test_a_worker_that_ends_answers_nobody() -> None:
    """Who waits is told at once, and so is who asks later."""
    questions = Questions(lambda _: None)
    (task,) = await asked(questions, 1)
    questions.end()
    for waiting in (task, questions.ask({})):
        with pytest.raises(WorkerGone):
            await waiting


async def test_a_worker_that_hangs_is_not_asked_without_end() -> None:
    """Those who gave up count until it answers: what is sent to it has to be kept."""
    sent: list[dict[str, Any]] = []
    questions = Questions(sent.append)
    tasks = await asked(questions, 64)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(WorkerGone):
        await questions.ask({})
    questions.answered({"number": sent[0]["question"]["number"], "body": "late"})
    (task,) = await asked(questions, 1)
    questions.answered({"number": sent[-1]["question"]["number"], "body": "here"})
    assert await task == "here"
