"""A client of the read door on grpcio: `python_client.py sync|aio ADDRESS`.

Reads steps from its input, one JSON object a line, and answers each.
"""

import asyncio
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import grpc
from grpc import aio

_PATH = "/gostream.v1.VideoService/"


def _same(data: bytes) -> bytes:
    return data


def _answer(reply: bytes, trailers: Any) -> dict[str, object]:
    layer = dict(trailers or ()).get("x-cache", "")
    return {"code": 0, "message": "", "reply": reply.hex(), "details": "", "layer": layer}


def _failure(error: Any) -> dict[str, object]:
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
    number = error.code().value[0]
    return {"code": number, "message": error.details(), "reply": "", "details": details.hex(), "layer": ""}


def _say(what: object) -> None:
    print(json.dumps(what), flush=True)


class SyncClient:
    """Threads over one channel."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)

    def call(self, step: Any) -> dict[str, object]:
        ask = self._channel.unary_unary(_PATH + step["method"], _same, _same)
        future: Any = ask.future(bytes.fromhex(step["request"]), timeout=step["deadline"])
        if step.get("cancel"):
            threading.Timer(step["cancel"], future.cancel).start()
        try:
            return _answer(future.result(), future.trailing_metadata())
        except grpc.FutureCancelledError:
            return {"code": grpc.StatusCode.CANCELLED.value[0]}
        except grpc.RpcError as error:
            return _failure(error)

    def many(self, step: Any) -> dict[str, object]:
        numbers = count(1)
        failed: list[object] = []

        def work(_: int) -> None:
            while (number := next(numbers)) <= step["calls"]:
                if number == step["report"]:
                    _say({"progress": number})
                if (found := self.call(step))["code"]:
                    failed.append(found)
                    print("call failed:", found, file=sys.stderr, flush=True)

        with ThreadPoolExecutor(step["open"]) as pool:
            list(pool.map(work, range(step["open"])))
        return {"calls": step["calls"], "failed": len(failed)}

    def serve(self) -> None:
        for line in sys.stdin:
            step = json.loads(line)
            _say(self.many(step) if "calls" in step else self.call(step))


class AioClient:
    """Tasks over one channel."""

    def __init__(self, address: str) -> None:
        self._channel = aio.insecure_channel(address)

    async def call(self, step: Any) -> dict[str, object]:
        ask: Any = self._channel.unary_unary(_PATH + step["method"], _same, _same)
        call = ask(bytes.fromhex(step["request"]), timeout=step["deadline"])
        if step.get("cancel"):
            asyncio.get_running_loop().call_later(step["cancel"], call.cancel)
        try:
            return _answer(await call, await call.trailing_metadata())
        except asyncio.CancelledError:
            return {"code": grpc.StatusCode.CANCELLED.value[0]}
        except aio.AioRpcError as error:
            return _failure(error)

    async def many(self, step: Any) -> dict[str, object]:
        numbers = count(1)
        failed: list[object] = []

        async def work() -> None:
            while (number := next(numbers)) <= step["calls"]:
                if number == step["report"]:
                    _say({"progress": number})
                if (found := await self.call(step))["code"]:
                    failed.append(found)
                    print("call failed:", found, file=sys.stderr, flush=True)

        await asyncio.gather(*(work() for _ in range(step["open"])))
        return {"calls": step["calls"], "failed": len(failed)}

    async def serve(self) -> None:
        while line := await asyncio.to_thread(sys.stdin.readline):
            step = json.loads(line)
            _say(await (self.many(step) if "calls" in step else self.call(step)))


if __name__ == "__main__":
    if sys.argv[1] == "sync":
        SyncClient(sys.argv[2]).serve()
    else:

        async def main() -> None:
            await AioClient(sys.argv[2]).serve()

        asyncio.run(main())
