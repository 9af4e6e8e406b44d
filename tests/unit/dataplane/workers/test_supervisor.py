"""What a supervisor keeps for a leading worker that is not there."""

from dataplane.events.parcels import Parcel
from dataplane.workers.supervisor import Supervisor


async def test_records_that_nobody_takes_are_counted() -> None:
    """Those beyond what is kept are lost: the node's metrics say how many, beside the events that are."""
    supervisor = Supervisor([[], []], 1.0, 0)
    try:
        for count in (1, 20, 300, 4000):
            supervisor._fold(Parcel(count, bytes(3 << 20)))
        lines = (await supervisor.exposition()).decode().splitlines()
        assert 'penstock_node_events_total{fate="lost"} 21.0' in lines
    finally:
        supervisor._close()
