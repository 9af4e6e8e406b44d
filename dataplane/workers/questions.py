"""Questions of a supervisor to one worker, whose answers come in whatever order."""

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any, Final

# One that has left so many unanswered hangs; what is sent to it is kept until it reads.
_MOST: Final = 64


class WorkerGone(Exception):
    """The worker has ended, or hangs, and will not answer."""


class Questions:
    """Numbers questions, and brings answers to who asked; `send` takes a message of `workers.channel`."""

    def __init__(self, send: Callable[[dict[str, Any]], object]) -> None:
        self._send = send
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[str | None]] = {}
        self._ended = False

    async def ask(self, question: dict[str, Any]) -> str | None:
        """Ask, and wait for the answer; raises WorkerGone. Who has enough of waiting cancels."""
        if self._ended or len(self._asked) == _MOST:
            raise WorkerGone
        number = next(self._numbers)
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        # It stays until the answer comes, also when nobody waits any more.
        self._asked[number] = answer
        self._send({"question": {**question, "number": number}})
        return await answer

    def answered(self, message: dict[str, Any]) -> None:
        """Take an answer."""
        asked = self._asked.pop(message["number"], None)
        if asked is not None and not asked.done():
            asked.set_result(message["body"])

    def end(self) -> None:
        """Tell all who wait that there will be no answer."""
        self._ended = True
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(WorkerGone())
        self._asked.clear()
