"""The certificates of an instance, issued at its start by an authority that exists only then."""

from pathlib import Path

import trustme

from gostream_devstack.host.directories import Directories

NAMES = ("localhost", "127.0.0.1", "::1")


class Certificates:
    """One certificate for every server of the instance, and one for a client.

    `authority` has the certificate that clients trust, `certificate` and `key` are the servers',
    `client_certificate` and `client_key` the client's.
    """

    def __init__(self, directories: Directories) -> None:
        self._directories = directories
        self._issuer = trustme.CA()
        self.folder = directories.make(directories.servers / "tls")
        self.authority = self.folder / "ca.crt"
        self.certificate, self.key = self.folder / "tls.crt", self.folder / "tls.key"
        self.client_certificate, self.client_key = self.folder / "client.crt", self.folder / "client.key"
        self._replace(self.authority, self._issuer.cert_pem.bytes())
        self._issue(self.client_certificate, self.client_key, "client.localhost")
        self.renew()

    def renew(self) -> None:
        """Replaces the servers' certificate and key, the key first."""
        self._issue(self.certificate, self.key, *NAMES)

    def environment(self) -> dict[str, str]:
        """The variables of the services: their own certificate, and the authority of the edge."""
        return {
            "TLS_CERT_FILE": str(self.certificate),
            "TLS_KEY_FILE": str(self.key),
            "SSL_CERT_FILE": str(self.authority),  # for the edge, which the worker refreshes
        }

    def _issue(self, certificate: Path, key: Path, *names: str) -> None:
        leaf = self._issuer.issue_cert(*names)
        self._replace(key, leaf.private_key_pem.bytes())
        self._replace(certificate, b"".join(blob.bytes() for blob in leaf.cert_chain_pems))

    def _replace(self, path: Path, content: bytes) -> None:
        """Replaces a file atomically: servers read it at any time."""
        self._directories.write(path.with_name(f".{path.name}"), content)
        path.with_name(f".{path.name}").replace(path)
