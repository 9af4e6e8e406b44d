"""Time that tests move by hand."""


class Clock:
    """Seconds since the epoch."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Pauses(list[float]):
    """Stands in for sleep: notes the seconds and goes on at once."""

    async def sleep(self, seconds: float) -> None:
        self.append(seconds)
