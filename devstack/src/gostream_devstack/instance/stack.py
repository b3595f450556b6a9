"""The complete stack on loopback: its servers, their order, and their settings."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from gostream_devstack.errors import StackError
from gostream_devstack.host import interpreter
from gostream_devstack.host.directories import Directories
from gostream_devstack.host.issuer import TokenIssuer
from gostream_devstack.host.ports import HOST, Ports
from gostream_devstack.host.state import State
from gostream_devstack.servers.api import Api
from gostream_devstack.servers.envoy import Envoy
from gostream_devstack.servers.nginx import Console, Nginx, Origin, playback_keys
from gostream_devstack.servers.observe.installed import installed
from gostream_devstack.servers.postgres import Postgres
from gostream_devstack.servers.seaweedfs import BUCKET, REGION, SeaweedFS
from gostream_devstack.servers.server import Server
from gostream_devstack.servers.supervisor import Report, Step, run_steps, stop_all
from gostream_devstack.servers.tls_front import TlsFront
from gostream_devstack.servers.valkey import Valkey
from gostream_devstack.servers.worker import Worker
from gostream_devstack.tls.certificates import Certificates

# The second replica takes the next port but one: API 50051, 50053, …, its reads 50052, 50054, …, and its
# port for operators 50061, 50063, ….
USUAL_PORTS = {
    "postgres": 5432,
    "redis": 6379,
    "s3": 9000,
    "nginx": 8081,
    "envoy": 8080,
    "api": 50051,
    "reads": 50052,
    "admin": 50061,
    "worker": 50101,
    "metrics": 9101,
    "prometheus": 9090,
    "grafana": 3000,
}
KEEPERS = ("postgres", "redis", "seaweedfs")  # stateful servers, which users may replace by their own
FRONTS = ("postgres-tls", "redis-tls")
# The variable that selects the user's server, then all its variables with their defaults.
OWN = {
    "DATABASE_URL": {"DATABASE_URL": ""},
    "REDIS_HOST": {"REDIS_HOST": "", "REDIS_PORT": "6379", "REDIS_PASSWORD": "", "REDIS_DB": "0"},
    "S3_ENDPOINT_URL": {
        "S3_ENDPOINT_URL": "",
        "S3_PUBLIC_ENDPOINT_URL": "",
        "S3_REGION": REGION,
        "S3_BUCKET": BUCKET,
        "S3_ACCESS_KEY": "",
        "S3_SECRET_KEY": "",
    },
}


@dataclass(frozen=True)
class Options:
    """Numbers of replicas, the user's servers, and additional settings."""

    api_replicas: int = 1
    workers: int = 1
    # The user's servers, found by `own_servers`. The stack's are not started.
    own: Mapping[str, str] = field(default_factory=dict)
    # Additional variables for the API and the workers.
    settings: Mapping[str, str] = field(default_factory=dict)
    durable: bool = True
    # Signs the tokens that the API requires; None: the API authenticates no one.
    issuer: TokenIssuer | None = None
    # Every listener speaks TLS, with certificates issued at the start.
    tls: bool = False
    # Also Prometheus and Grafana, where they are installed.
    observe: bool = False


def own_servers(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the settings of the user's servers from the environment."""
    found: dict[str, str] = {}
    for variable, defaults in OWN.items():
        if environment.get(variable):
            found |= {name: environment.get(name) or default for name, default in defaults.items()}
    return found


class Stack:
    """All servers of one instance.

    `servers` by name (postgres, redis, seaweedfs, nginx, envoy, api-1…, worker-1…), each with its pid and
    `stop`, `start`, `kill`, `terminate`, `pause`. `env` has the clients' variables.
    """

    def __init__(
        self,
        directories: Directories,
        state: State,
        ports: Ports,
        options: Options,
        usual: Mapping[str, int] | None = None,
    ) -> None:
        self._directories = directories
        self._secrets = state.secrets
        self._ports = ports
        self._usual = usual or {}
        self._options = options
        self.certificates = Certificates(directories) if options.tls else None
        self.servers: dict[str, Server] = {}
        self._keys: dict[str, dict[str, str]] = {}
        self.settings = self._backends()
        envoy_port = self._port("envoy")
        nginx = self._edge(f"{'https' if options.tls else 'http'}://{HOST}:{envoy_port}")
        self.settings |= self.certificates.environment() if self.certificates else {}
        self.settings |= options.settings
        self.apis = [self._api(number) for number in range(1, options.api_replicas + 1)]
        self.workers = [self._worker(number) for number in range(1, options.workers + 1)]
        self._envoy = Envoy(directories, envoy_port, ports.pick("envoy-admin"), self.apis, self.certificates)
        self._envoy.page = nginx.url
        self._envoy.issuers = options.issuer.publish(directories) if options.issuer else None
        for server in (nginx, self._envoy, *self.apis, *self.workers):
            self.servers[server.name] = server
        self.observers: list[Server] = []
        self.missing: list[str] = []
        shown = self._observe() if options.observe else {}
        self.env = self._environment() | shown

    def start(self, report: Report = lambda *_: None) -> None:
        """Starts everything concurrently and waits until all is ready.

        On failure stops everything and raises.
        """
        if self._directories.account and (why := interpreter.obstacle(self._directories.account)):
            report("services", f"run as root: {why}")
        try:
            run_steps(self._steps(), report, abort=self.stop)
        except BaseException:
            self.stop()  # servers that a step had started when the others were stopped
            raise

    def stop(self) -> None:
        """Stops the clients of the stateful servers first, then these."""
        stop_all(server for name, server in self.servers.items() if name not in (*KEEPERS, *FRONTS))
        stop_all(server for name, server in self.servers.items() if name in (*KEEPERS, *FRONTS))

    def _backends(self) -> dict[str, str]:
        """Creates the stateful servers and returns the services' settings for them."""
        directories, secrets, own = self._directories, self._secrets, self._options.own
        settings = dict(own)
        if "DATABASE_URL" not in own:
            port = self._port("postgres")
            postgres = Postgres(
                directories, port, secrets["postgres_password"], durable=self._options.durable
            )
            self.servers[postgres.name] = postgres
            settings |= {"DATABASE_URL": self._secured(postgres)}
        if "REDIS_HOST" not in own:
            redis = Valkey(directories, self._port("redis"), secrets["redis_password"])
            self.servers[redis.name] = redis
            settings |= {"REDIS_HOST": redis.host, "REDIS_PORT": str(self._front(redis))}
            settings |= {"REDIS_PASSWORD": redis.password, "REDIS_DB": str(redis.db)}
            if self.certificates:
                settings |= {"REDIS_TLS": "true", "REDIS_CA_FILE": str(self.certificates.authority)}
        if "S3_ENDPOINT_URL" not in own:
            store = SeaweedFS(directories, self._ports, secrets, self._port("s3"), self.certificates)
            self.servers[store.name] = store
            settings |= {"S3_ENDPOINT_URL": store.endpoint_url, "S3_PUBLIC_ENDPOINT_URL": store.endpoint_url}
            settings |= {"S3_BUCKET": store.bucket, "S3_REGION": store.region}
            settings |= {"S3_ACCESS_KEY": store.access_key, "S3_SECRET_KEY": store.secret_key}
            if self.certificates:
                settings |= {"S3_CA_FILE": str(self.certificates.authority)}
            for role, (key, secret) in store.service_keys.items():
                self._keys[role] = {"S3_ACCESS_KEY": key, "S3_SECRET_KEY": secret}
        settings["S3_PUBLIC_ENDPOINT_URL"] = settings["S3_PUBLIC_ENDPOINT_URL"] or settings["S3_ENDPOINT_URL"]
        return settings

    def _secured(self, postgres: Postgres) -> str:
        """Returns the URL of the services for the database."""
        if self.certificates is None:
            return postgres.url
        url = postgres.url.replace(f":{postgres.port}/", f":{self._front(postgres, 'postgres')}/")
        return f"{url}?sslmode=verify-full&sslrootcert={self.certificates.authority}"

    def _front(self, behind: Server, kind: str = "") -> int:
        """Returns the port of a server for the services."""
        if self.certificates is None:
            return behind.port
        port = self._ports.pick(f"{behind.name}-tls")
        front = TlsFront(self._directories, behind, port, self.certificates, kind)
        self.servers[front.name] = front
        return port

    def _edge(self, api: str) -> Nginx:
        secrets = self._secrets
        places = (self.settings["S3_ENDPOINT_URL"], self.settings["S3_BUCKET"], secrets["edge_origin_secret"])
        keys = playback_keys(secrets["playback_key_a"], secrets["playback_key_b"])
        nginx = Nginx(
            self._directories,
            self._port("nginx"),
            Origin(*places),
            secrets["cdn_refresh_secret"],
            certificates=self.certificates,
            playback_keys=keys,
            console=Console(api, self.settings["S3_PUBLIC_ENDPOINT_URL"].rstrip("/")),
        )
        self._keys.setdefault("api", {})["PLAYBACK_KEYS"] = keys
        self.settings |= {"CDN_BASE_URL": nginx.url, "CDN_REFRESH_URL": nginx.url}
        self.settings |= {"CDN_REFRESH_SECRET": nginx.refresh_secret}
        return nginx

    def _api(self, number: int) -> Api:
        name, offset = f"api-{number}", 2 * (number - 1)
        port, read_port = self._port("api", name, offset), self._port("reads", f"{name} reads", offset)
        metrics_port = self._port("metrics", f"{name} metrics", number - 1)
        admin_port = self._port("admin", f"{name} admin", offset)
        settings = self._settings_of("api")
        return Api(self._directories, name, port, metrics_port, settings, read_port, admin_port)

    def _worker(self, number: int) -> Worker:
        name = f"worker-{number}"
        port = self._port("worker", name, 2 * (number - 1))
        metrics_port = self._port("metrics", f"{name} metrics", self._options.api_replicas + number - 1)
        return Worker(self._directories, name, port, metrics_port, self._settings_of("worker"))

    def _settings_of(self, role: str) -> dict[str, str]:
        settings = {**self.settings, **self._keys.get(role, {}), **self._options.settings}
        if role == "api" and self._options.issuer is not None:
            issuers = self._options.issuer.publish(self._directories)
            settings |= {"AUTH_MODE": "jwt", "AUTH_JWT_ISSUERS_FILE": str(issuers)}
        return settings

    def _port(self, role: str, name: str | None = None, offset: int = 0) -> int:
        usual = self._usual.get(role)
        return self._ports.pick(name or role, None if usual is None else usual + offset)

    def _observe(self) -> dict[str, str]:
        """Creates the observing servers. Returns their URLs by variable."""
        jobs = {
            "gostream-api": [f"{each.host}:{each.metrics_port}" for each in self.apis],
            "gostream-worker": [f"{each.host}:{each.metrics_port}" for each in self.workers],
        }
        self.observers, shown, self.missing = installed(self._directories, self._port, jobs)
        self.servers |= {each.name: each for each in self.observers}
        return shown

    def _environment(self) -> dict[str, str]:
        services = [*self.apis, *self.workers]
        shown = ("CDN_BASE_URL", "DATABASE_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "REDIS_DB")
        store = ("S3_ENDPOINT_URL", "S3_REGION", "S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY")
        return {
            "GOSTREAM_API_ADDR": ",".join(api.address for api in self.apis),
            "GOSTREAM_READ_ADDR": ",".join(api.read_address for api in self.apis),
            "GOSTREAM_ADMIN_ADDR": ",".join(api.admin_address for api in self.apis),
            "GOSTREAM_HTTP_URL": self._envoy.url,
            "GOSTREAM_CONSOLE_URL": f"{self._envoy.page}/console/",
            **{name: self.settings[name] for name in (*shown, *store)},
            "GOSTREAM_METRICS_URL": ",".join(service.metrics_url for service in services),
            **self._client_files(),
        }

    def _client_files(self) -> dict[str, str]:
        if self.certificates is None:
            return {}
        trust = str(self.certificates.authority)
        backends = ("REDIS_TLS", "REDIS_CA_FILE", "S3_CA_FILE")
        clients = {name: self.settings[name] for name in backends if name in self.settings}
        own = {
            "GOSTREAM_CLIENT_CERT": str(self.certificates.client_certificate),
            "GOSTREAM_CLIENT_KEY": str(self.certificates.client_key),
        }
        return {**clients, **own, "GOSTREAM_CA_FILE": trust, "SSL_CERT_FILE": trust}

    def _steps(self) -> list[Step]:
        keepers = tuple(name for name in (*KEEPERS, *FRONTS) if name in self.servers)
        databases = tuple(name for name in keepers if name.startswith("postgres"))
        return [
            *(Step(name, self.servers[name].start) for name in keepers),
            Step("migrations", self._migrate, databases),
            Step("nginx", self.servers["nginx"].start),
            Step("envoy", self._envoy.start),
            *(Step(each.name, each.start, ("migrations", *keepers)) for each in (*self.apis, *self.workers)),
            *(Step(each.name, each.start) for each in self.observers),
            Step("json edge", self._envoy.wait_for_apis, ("envoy", *(api.name for api in self.apis))),
        ]

    def _migrate(self) -> None:
        import asyncpg

        from gostream_shared.db.migrate import migrate

        try:
            asyncio.run(migrate(self.settings["DATABASE_URL"]))
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise StackError(
                f"the database could not be migrated: {type(error).__name__}: {error}"
            ) from error
