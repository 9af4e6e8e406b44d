"""Keeps a node's workers running, and answers for all of them on the node's own port."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from clients.process.exits import ConfigurationError, Exit
from dataplane.config.board import Board
from dataplane.events.measures import fates
from dataplane.events.parcels import Parcel, Stock
from dataplane.http.clocks import Clocks
from dataplane.http.message import Request
from dataplane.http.readiness import together
from dataplane.workers import sums
from dataplane.workers.loads import Loads
from dataplane.workers.neighbours import Doors
from dataplane.workers.questions import WorkerGone
from dataplane.workers.relief import Relief
from dataplane.workers.share import Share
from dataplane.workers.watchdog import Watchdog
from dataplane.workers.worker import Worker

_LOG = logging.getLogger(__name__)

# Seconds before a worker that ended is replaced: longer each time, from the start again after it was well.
_PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
_WELL: Final = 30.0
# Seconds beyond the drain time-out after which a worker is killed.
_GRACE: Final = 10.0
# Seconds that workers may take to say what of an image is cached, and how many are asked that at once.
_PATIENCE: Final = 2.0
_QUESTIONS: Final = 8


class Supervisor:
    """Starts a worker for each of the `queues`, the sockets that it listens on, and replaces those that end.

    So it does with those that hang for `patience` seconds, if it is not 0. The sockets are closed at the end.
    """

    def __init__(self, queues: Sequence[Sequence[socket.socket]], drain: float, patience: float) -> None:
        self._queues = queues
        self._count = count = len(queues)
        self._drain = drain
        self._patience = patience
        self._workers: dict[int, Worker] = {}
        self._restarts = 0
        self._hangs = 0
        self._draining = asyncio.Event()
        self._asking = asyncio.Semaphore(_QUESTIONS)
        # Workers that have not served yet, since the start of the node.
        self._awaited = set(range(count))
        # Counters of workers that have ended.
        self._past: list[Metric] = []
        # What they share.
        self._board = Board.create()
        self._clocks = Clocks.create()
        self._loads = Loads.create(count)
        self._doors = Doors(count)
        self._relief = Relief(self._loads, self._doors, queues)
        # What workers noted while none is there to fold it.
        self._stock = Stock()
        # Records that it cannot take, as it does not read.
        self._lost = 0

    async def run(self, announce: Callable[[], None], stop: asyncio.Event, at_once: asyncio.Event) -> int:
        """Keep all running until `stop`, then let them end; gives the exit code.

        `announce` is called once, when all serve. Raises ConfigurationError where, before that, a worker
        cannot work as it is set up.
        """
        keepers = [
            asyncio.create_task(self._keep(Share(index, self._count), announce))
            for index in range(self._count)
        ]
        stopping = asyncio.create_task(stop.wait())
        watching = asyncio.create_task(
            Watchdog(self._patience).run(self._loads, lambda: self._workers, self._hangs_now)
        )
        relieving = asyncio.create_task(self._relief.run())
        try:
            await asyncio.wait({stopping, *keepers}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._draining.set()
            for task in (stopping, watching, relieving):
                task.cancel()
            await asyncio.gather(stopping, watching, relieving, return_exceptions=True)
            # They are the workers' alone now: where those let go of them, the kernel refuses who comes.
            for queue in chain(*self._queues):
                queue.close()
            hurrying = asyncio.create_task(self._hurry(at_once))
            for worker in self._workers.values():
                worker.terminate()
            await asyncio.wait(keepers, timeout=self._drain + _GRACE)
            for worker in self._workers.values():
                worker.kill()
            codes = await asyncio.gather(*keepers, return_exceptions=True)
            hurrying.cancel()
            await asyncio.gather(hurrying, return_exceptions=True)
            self._close()
        for code in codes:
            if isinstance(code, BaseException):
                raise code
        return max(int(code) for code in codes if isinstance(code, int))

    async def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Say whether the node serves, and what there is to know about it; see `http.readiness`."""
        await self._report()
        ready, details = together([worker.readiness for worker in self._workers.values() if worker.readiness])
        ready = ready and not self._draining.is_set()
        serving = sum(worker.serves for worker in self._workers.values())
        workers = {"wanted": self._count, "serving": serving, "restarts": self._restarts}
        return ready, {**details, "ready": ready, "draining": self._draining.is_set(), "workers": workers}

    async def exposition(self) -> bytes:
        """Render the metrics of all workers as those of one process."""
        await self._report()
        own = [
            GaugeMetricFamily("penstock_node_workers", "Worker processes that run.", len(self._workers)),
            CounterMetricFamily(
                "penstock_node_worker_restarts",
                "Worker processes that ended and were replaced.",
                self._restarts,
            ),
            CounterMetricFamily(
                "penstock_node_worker_hangs",
                "Worker processes that did nothing any more and were killed.",
                self._hangs,
            ),
        ]
        lost = fates(lost=self._lost + self._stock.lost)
        reports = (worker.metrics for worker in self._workers.values())
        return sums.exposition([*own, *sums.add([*reports, self._past, [lost]])])

    async def cached(self, request: Request) -> bytes | None:
        """Have a worker say what `http.cached` says; raises TimeoutError where none does in time."""
        question = {
            "target": request.target,
            "authorization": request.authorization,
            "address": request.address,
        }
        async with asyncio.timeout(_PATIENCE), self._asking:
            for worker in [worker for worker in self._workers.values() if worker.serves]:
                # They share the disk: what one says, all would.
                with suppress(WorkerGone):
                    body = await worker.questions.ask(question)
                    return None if body is None else body.encode()
        raise TimeoutError

    async def _report(self) -> None:
        # One that cannot answer in time counts with what it reported last.
        await asyncio.gather(*(worker.report() for worker in self._workers.values() if worker.readiness))

    async def _keep(self, share: Share, announce: Callable[[], None]) -> int:
        """Run a worker again and again; gives the exit code with which everything has to end."""
        failures = 0
        while not self._draining.is_set():
            began = time.monotonic()
            try:
                end = await self._run(share, announce)
            except OSError as error:
                # The machine is short of memory or processes, as it may be when it has just killed one.
                end = f"before it began: {error.strerror}"
            except ConfigurationError as error:
                # What others work with may be away for a while: files that are replaced, a disk.
                if share.index in self._awaited:
                    raise
                end = f"as it cannot work now: {str(error).rstrip('.')}"
            if self._draining.is_set():
                break
            _LOG.error("Worker %d ended %s.", share.index, end)
            if share.index in self._awaited:
                return Exit.FAILED
            failures = 0 if time.monotonic() - began >= _WELL else failures
            with suppress(TimeoutError):
                async with asyncio.timeout(_PAUSES[min(failures, len(_PAUSES) - 1)]):
                    await self._draining.wait()
                    break
            failures += 1
            self._restarts += 1
        return Exit.OK

    async def _run(self, share: Share, announce: Callable[[], None]) -> str:
        """Run a worker to its end, and tell how it came to it.

        Raises OSError where none can be started, and ConfigurationError where it cannot work as it is set up.
        """
        inner, outer = self._doors.of(share.index)
        memory = (self._board.fileno(), self._clocks.fileno(), self._loads.fileno())
        worker = await Worker.start(
            share,
            (*memory, *(each.fileno() for each in (inner, *outer, *self._queues[share.index]))),
            lambda: self._serves(share.index, announce),
            lambda message: self._pass_on(share, message),
            self._fold,
        )
        self._workers[share.index] = worker
        if share.leads:
            for parcel in self._stock.take():
                self._fold(parcel)
        if self._draining.is_set():
            worker.terminate()
        end = await worker.run()
        self._loads.ended(share.index)
        if not self._draining.is_set():
            self._relief.look()
        del self._workers[share.index]
        self._pass_on(share, {"configuration": {"interruption": "the worker that follows it has ended"}})
        self._past = sums.add([self._past, sums.counters(worker.metrics)])
        self._leave_alone()
        if worker.failure:
            raise ConfigurationError(worker.failure)
        return end

    async def _hangs_now(self, index: int) -> None:
        self._hangs += 1
        worker = self._workers.get(index)
        stacks = await worker.end_hanging() if worker else ""
        here = f" It was here:\n{stacks}" if stacks else " It could not say where it was."
        _LOG.error("Worker %d has done nothing for %g seconds, and is killed.%s", index, self._patience, here)

    def _serves(self, index: int, announce: Callable[[], None]) -> None:
        if self._awaited == {index}:
            announce()
        self._awaited.discard(index)

    def _pass_on(self, share: Share, message: dict[str, Any]) -> None:
        """Hand on what a worker says: to all others, but only to the leading one what it runs."""
        if share.leads or "configuration" not in message:
            for index, worker in self._workers.items():
                if index != share.index:
                    worker.tell(message)
        elif (leader := self._workers.get(0)) is not None:
            others = [w.revision for index, w in self._workers.items() if not Share(index).leads]
            oldest = min(filter(None, others), default=None)
            leader.tell({"configuration": {"revision": oldest}})

    def _fold(self, parcel: Parcel) -> None:
        """Hand what was noted of requests to the leading worker, as soon as there is one."""
        leader = self._workers.get(0)
        if leader is None:
            self._stock.put(parcel)
        elif not leader.tell(parcel):
            self._lost += parcel.size

    def _leave_alone(self) -> None:
        """Tell the leading worker when, at the end, no other is left."""
        if self._draining.is_set() and list(self._workers) == [0]:
            self._workers[0].tell({"alone": True})

    def _close(self) -> None:
        self._board.close()
        self._clocks.close()
        self._loads.close()
        self._doors.close()

    async def _hurry(self, at_once: asyncio.Event) -> None:
        await at_once.wait()
        for worker in self._workers.values():
            worker.hurry()
