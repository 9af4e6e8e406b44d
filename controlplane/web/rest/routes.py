"""Which method a verb and a path stand for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from controlplane.web.rest.binding import Binding, bindings


@dataclass(frozen=True, slots=True)
class Route:
    """A binding, and the servicer that answers its method."""

    binding: Binding
    servicer: Any

    @property
    def method(self) -> str:
        """The method's path on the gRPC port, `/penstock.v1.ArtifactService/GetArtifact`."""
        method = self.binding.method
        return f"/{method.containing_service.full_name}/{method.name}"


@dataclass(frozen=True, slots=True)
class Routes:
    """All routes of the services."""

    _routes: tuple[Route, ...]

    @classmethod
    def of(cls, services: Iterable[tuple[ServiceDescriptor, Any]]) -> "Routes":
        """Read the annotations of the services; raises ValueError for one that cannot be served."""
        return cls(
            tuple(
                Route(binding, servicer)
                for service, servicer in services
                for method in service.methods
                for binding in bindings(method)
            )
        )

    def find(self, verb: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
        """Give the route of a request, with the values in its path."""
        for route in self._routes:
            if route.binding.verb == verb and (values := route.binding.template.match(path)) is not None:
                return route, values
        return None

    def verbs(self, path: str) -> list[str]:
        """Give the verbs that a path takes."""
        return sorted(
            {route.binding.verb for route in self._routes if route.binding.template.match(path) is not None}
        )
