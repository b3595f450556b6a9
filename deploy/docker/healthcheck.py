"""The health check of the images: `python healthcheck.py HOST:PORT` exits 0 if the gRPC health is SERVING."""

import sys

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse


def main() -> None:
    with grpc.insecure_channel(sys.argv[1], options=[("grpc.enable_http_proxy", 0)]) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        try:
            reply = check(HealthCheckRequest(), timeout=3)
        except grpc.RpcError as error:
            sys.exit(f"{sys.argv[1]}: {error.code().name}")
    if reply.status != HealthCheckResponse.SERVING:
        sys.exit(f"{sys.argv[1]}: {HealthCheckResponse.ServingStatus.Name(reply.status)}")


if __name__ == "__main__":
    main()
