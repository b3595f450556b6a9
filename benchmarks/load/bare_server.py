"""A minimal grpc.aio server: constant replies, requests ignored. `bare_server.py PORT`."""

import sys

import grpc
import uvloop
from grpc import aio

PAYLOAD = b"x" * 300


async def serve(port: int) -> None:
    """Serves until the process ends."""

    async def answer(request: bytes, context: object) -> bytes:
        return PAYLOAD

    server = aio.server(options=(("grpc.so_reuseport", 0),))
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "GetVideo": grpc.unary_unary_rpc_method_handler(answer)
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("gostream.v1.VideoService", handlers),)
    )
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
