"""The output of `up`: a live table on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table

MARKS = {"starting": "[yellow]…[/]", "ready": "[green]✓[/]", "failed": "[red]✗[/]", "stopped": "[dim]-[/]"}


class Screen:
    """Receives every step from any thread. Enter it with `with` during the start."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self._states: dict[str, str] = {}
        self._live = Live(get_renderable=self._table, console=console) if console.is_terminal else None

    def __enter__(self) -> "Screen":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def report(self, name: str, event: str) -> None:
        """Records that a step began, ended or failed."""
        with self._lock:
            self._states[name] = event
        if self._live is None and event != "starting":
            self.say(f"{name}: {event}")

    def say(self, text: str) -> None:
        """Prints one line without markup."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def summary(self, env: Mapping[str, str], command: str) -> None:
        """Prints all addresses."""
        self.say(f"GoStream is up after {time.monotonic() - self._begun:.1f} s")
        self.say(f"  gRPC     {env['GOSTREAM_API_ADDR']}")
        self.say(f"  reads    {env['GOSTREAM_READ_ADDR']}  (GetVideo and BatchGetVideos only)")
        self.say(f"  doctor   {env['GOSTREAM_ADMIN_ADDR']}  (AdminService only)")
        self.say(f"  JSON     {env['GOSTREAM_HTTP_URL']}/v1/videos")
        self.say(f"  console  {env['GOSTREAM_CONSOLE_URL']}")
        self.say(f"  streams  {env['CDN_BASE_URL']}/hls/ID/master.m3u8")
        self.say(f"  uploads  {env['S3_ENDPOINT_URL']}/{env['S3_BUCKET']}")
        self.say(f"  `{command} env` prints the rest, with the passwords")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        with self._lock:
            states = dict(self._states)
        for name, event in states.items():
            table.add_row(MARKS.get(event.split()[0], " "), name, f"[dim]{event}[/]")
        return table
