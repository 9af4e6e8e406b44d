"""How a process is told to stop."""

import asyncio
import signal


class Signals:
    """SIGTERM or SIGINT: the first asks to stop, the second to stop at once."""

    def __init__(self, *, once: bool = False) -> None:
        """Take them; with `once`, further ones say nothing new."""
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.first.set if once else self.receive)

    def receive(self) -> None:
        """Take one, from wherever it comes."""
        if self.first.is_set():
            self.second.set()
        self.first.set()
