"""The routes of the HTTP port."""

from prometheus_client import CollectorRegistry, Counter
from tornado.web import Application, RequestHandler

from clients.process.scraping import ScrapeToken
from controlplane.api.gate import Gate
from controlplane.sync.measures import LastSyncs
from controlplane.web.handler import NothingHere
from controlplane.web.health import Healthz, Readiness, Readyz
from controlplane.web.metrics import Metrics
from controlplane.web.rest.handler import Rest
from controlplane.web.rest.routes import Routes


def application(
    *,
    gate: Gate,
    routes: Routes,
    readiness: Readiness,
    registry: CollectorRegistry,
    last_syncs: LastSyncs,
    scrape_token: ScrapeToken,
    certified: bool = False,
) -> Application:
    """Make the application; its requests are counted in `registry`.

    With `certified` the API is for clients with a certificate. Health and metrics are not: whoever asks for
    these has a token, or none, and is told nothing that needs more.
    """
    requests = Counter(
        "penstock_http_requests",
        "Requests that were answered on the HTTP port, by route and status.",
        ("route", "status"),
        registry=registry,
    )

    def count(handler: RequestHandler) -> None:
        route = handler.route if isinstance(handler, Rest) else type(handler).__name__
        requests.labels(route, str(handler.get_status())).inc()

    return Application(
        [
            (r"/healthz", Healthz),
            (r"/readyz", Readyz, {"readiness": readiness}),
            (r"/metrics", Metrics, {"registry": registry, "last_syncs": last_syncs, "token": scrape_token}),
            (r"/api/v1/.*", Rest, {"routes": routes, "gate": gate, "certified": certified}),
        ],
        default_handler_class=NothingHere,
        log_function=count,
        under_way=set(),
    )
