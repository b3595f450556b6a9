"""A grpc.aio server with a constant reply and the API's options: `python -m benchmarks.doors.bare PORT`."""

import sys
from typing import Any

import grpc
import uvloop
from grpc import aio

from gostream_api.rpc.interceptors.base import Handler
from gostream_api.rpc.server import OPTIONS
from gostream_api.rpc.servicer import SERVICE

_REPLY = b"x" * 150


async def serve(port: int) -> None:
    """Serves until the process is killed."""

    async def get_video(request: bytes, context: Any) -> bytes:
        return _REPLY

    server = aio.server(options=OPTIONS)
    handler: Handler = grpc.unary_unary_rpc_method_handler(get_video)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"GetVideo": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
