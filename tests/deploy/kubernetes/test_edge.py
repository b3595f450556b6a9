"""nginx with the variables of the manifests: only paths, ports and names of this machine are replaced."""

from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

from gostream_devstack.host.ports import Ports
from gostream_devstack.servers.nginx import Nginx
from tests.deploy.kubernetes.rendering import FOLDER, configuration, render
from tests.deploy.origin import Origin
from tests.support.certificates import Files

GIVEN = configuration(render(FOLDER / "overlays/prod"), "edge")
#: What does not depend on the machine.
_SAME = (
    "EDGE_HSTS",
    "EDGE_CACHE_SIZE",
    "EDGE_CACHE_KEYS",
    "EDGE_REQUEST_TIMEOUT",
    "EDGE_SEND_TIMEOUT",
    "EDGE_CONNECTIONS_PER_ADDRESS",
    "EDGE_MISSING_RATE",
    "EDGE_ACCESS_LOG",
    "EDGE_GATE_WHEN_ORIGIN_DOWN",
    "EDGE_REFRESH_FROM",
    "EDGE_REFRESH_EXCEPT",
)


def test_edge_listens_with_and_without_tls(
    origin: Origin, make_edge: Callable[..., Nginx], tmp_path: Path
) -> None:
    files, port = Files(tmp_path / "tls"), Ports({}).pick("tls")

    class Edge(Nginx):
        def variables(self) -> Mapping[str, str]:
            listen = GIVEN["EDGE_LISTEN"].replace("8443", f"127.0.0.1:{port}")
            return {
                **super().variables(),
                **{name: GIVEN[name] for name in _SAME},
                "EDGE_LISTEN": listen.replace("8081", f"127.0.0.1:{self.port}"),
                "EDGE_TLS_CERT": str(self.directory / "tls.crt"),
                "EDGE_TLS_KEY": str(self.directory / "tls.key"),
                # The name of the DNS server is resolved by the system at the start.
                "EDGE_RESOLVER": GIVEN["EDGE_RESOLVER"].replace(
                    "kube-dns.kube-system.svc.cluster.local", "localhost"
                ),
            }

        def prepare(self) -> None:
            super().prepare()
            for file in (files.certificate, files.key):
                self.directories.write(self.directory / file.name, file.read_bytes())

    edge = make_edge(origin, kind=Edge)

    plain = HTTPConnection("127.0.0.1", edge.port, timeout=60)
    secure = HTTPSConnection("localhost", port, timeout=60, context=files.client_context())
    for connection in (plain, secure):
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
        connection.close()
