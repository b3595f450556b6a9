"""The health check of the images: `python healthcheck.py HOST:PORT` exits 0 if the gRPC health is SERVING.

With TLS_CERT_FILE it trusts that very certificate, and presents it if the service asks for one.
"""

import os
import sys
from pathlib import Path

import grpc
from cryptography import x509
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse


def connect(address: str) -> grpc.Channel:
    options = [("grpc.enable_http_proxy", 0)]
    certificate, key = os.environ.get("TLS_CERT_FILE"), os.environ.get("TLS_KEY_FILE")
    if not certificate or not key:
        return grpc.insecure_channel(address, options)
    pem = Path(certificate).read_bytes()
    extensions = x509.load_pem_x509_certificate(pem).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    name = names.get_values_for_type(x509.DNSName)[0].replace("*", "any", 1)
    options.append(("grpc.ssl_target_name_override", name))
    return grpc.secure_channel(
        address, grpc.ssl_channel_credentials(pem, Path(key).read_bytes(), pem), options
    )


def main() -> None:
    with connect(sys.argv[1]) as channel:
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
