"""Every method against every kind of caller, over the real port: who is let in, and who is not."""

import asyncio
from collections.abc import Mapping

import grpc
import grpc.aio
from google.protobuf.message_factory import GetMessageClass

from controlplane.api.authorize import WHO_MAY, Who
from controlplane.api.port import SERVICES
from penstock.v1 import customer_pb2, node_pb2
from tests.servers.control_plane import Plane

_POOL = node_pb2.DESCRIPTOR.pool
_LADDER = (Who.READER, Who.WRITER, Who.ADMIN, Who.INSTALLATION)

# What of the table's words each caller is, by its column.
MEMBERS = {
    "installation": set(_LADDER),
    "admin": set(_LADDER[:3]),
    "read_write": set(_LADDER[:2]),
    "read_only": set(_LADDER[:1]),
    "node": {Who.NODE},
}
CUSTOMERS = {"customer's admin": set(_LADDER[:3]), "customer's user": set(_LADDER[:1])}


async def _tokens(plane: Plane) -> dict[str, str]:
    await plane.organization("acme")
    customer = await plane.root.customers.CreateCustomer(
        customer_pb2.CreateCustomerRequest(parent="organizations/acme", customer_id="globex")
    )
    node = await plane.root.nodes.CreateNode(node_pb2.CreateNodeRequest(node_id="one"))
    tokens = {role: (await plane.user("acme", role))[1] for role in ("admin", "read_write", "read_only")}
    for who, role in (("customer's admin", "admin"), ("customer's user", "read_only")):
        tokens[who] = (await plane.user("acme", role, f"{role}@globex.example.com", customer=customer.name))[
            1
        ]
    return {**tokens, "installation": plane.root_token, "node": node.secret, "nobody": ""}


async def _answer(channel: grpc.aio.Channel, path: str, token: str) -> str:
    """Call a method with an empty request, and give the status; a stream is left at its first message."""
    _, service, name = path.split("/")
    method = _POOL.FindServiceByName(service).methods_by_name[name]
    request = GetMessageClass(method.input_type)()
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    call = make(path, type(request).SerializeToString, GetMessageClass(method.output_type).FromString)(
        request, metadata=metadata, timeout=10
    )
    try:
        if method.server_streaming:
            await call.read()
            call.cancel()
        else:
            await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


def _may(who: str, path: str) -> bool:
    row = WHO_MAY[path]
    return row.customer in CUSTOMERS[who] if who in CUSTOMERS else row.member in MEMBERS[who]


async def test_every_method_for_every_caller(plane: Plane) -> None:
    """Refused before the request is looked at, or let in, whatever becomes of the empty request then."""
    tokens = await _tokens(plane)
    own = [path for path in WHO_MAY if path.split("/")[1] in SERVICES]
    wrong: list[tuple[str, str, str]] = []
    async with grpc.aio.insecure_channel(str(plane.running.grpc)) as channel:
        for path in own:
            codes = await asyncio.gather(*(_answer(channel, path, token) for token in tokens.values()))
            answers: Mapping[str, str] = dict(zip(tokens, codes, strict=True))
            for who, code in answers.items():
                if who == "nobody":
                    fits = code == "UNAUTHENTICATED"
                elif _may(who, path):
                    fits = code not in ("UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED", "INTERNAL")
                else:
                    fits = code == "PERMISSION_DENIED"
                if not fits:
                    wrong.append((path, who, code))
    assert wrong == []
    assert len(own) > 60
