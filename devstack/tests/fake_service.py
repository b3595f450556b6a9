"""A stand-in for the API and the worker with gRPC health and a graceful stop only."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

SERVICES = ("", "gostream.v1.VideoService")


def main() -> None:
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    servicer = health.HealthServicer()
    for service in SERVICES:
        servicer.set(service, health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = os.environ.get("API_PORT") or os.environ["WORKER_PORT"]
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    print("serving with", os.environ["DATABASE_URL"].rsplit("@")[-1], flush=True)
    stopping.wait()
    servicer.enter_graceful_shutdown()
    server.stop(grace=1).wait()


if __name__ == "__main__":
    main()
