"""Prints results as a table and writes them to benchmarks/results/."""

import os
import platform
import shlex
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
_VERSIONS = ("grpcio", "redis", "hiredis", "asyncpg", "uvloop", "protobuf", "cashews", "aiocache")


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table with right-aligned figures."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def write_report(name: str, title: str, *parts: str) -> None:
    """Prints the parts. Writes them, with command, machine and versions, to results/<name>.md."""
    print("\n" + "\n\n".join(parts))
    RESULTS.mkdir(exist_ok=True)
    text = "\n\n".join([f"# {title}", *parts, _circumstances()])
    (RESULTS / f"{name}.md").write_text(text + "\n")
    print(f"\nwritten to benchmarks/results/{name}.md")


def _circumstances() -> str:
    module = Path(sys.argv[0]).resolve().relative_to(RESULTS.parents[1]).with_suffix("")
    name = ".".join(module.parts).removesuffix(".__main__")
    command = shlex.join(["python", "-m", name, *sys.argv[1:]])
    versions = ", ".join(f"{package} {found}" for package in _VERSIONS if (found := _version(package)))
    return (
        f"Command: `{command}`  \n"
        f"Machine: {_processor()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f} at the end, "
        f"{platform.system()}  \n"
        f"Versions: Python {platform.python_version()}, {versions}"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
