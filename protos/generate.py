"""Generate the Python, the descriptors and the OpenAPI document of the contract: `make gen`.

--check, for `make check`, generates into a temporary folder, fails if the committed files differ, and runs
buf's lint, format and breaking checks. --release makes the current contract the baseline for the breaking
check.
"""

import argparse
import filecmp
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from openapi.document import Facts, document
from openapi.page import page

ROOT = Path(__file__).resolve().parent.parent
GENERATED = ROOT / "protos/gen"
BASELINE = ROOT / "protos/baseline.binpb"


def run(*command: str) -> None:
    subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - fixed commands


def buf(*arguments: str) -> None:
    run(str(Path(sys.executable).parent / "buf"), *arguments)


def copy_googleapis() -> None:
    """Copy the wheel's google.api and google.rpc files to the path in buf.yaml.

    Envoy needs google.rpc to print rich errors as JSON, although the contract does not import it.
    """
    spec = importlib.util.find_spec("google.rpc")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("googleapis-common-protos is not installed: run `make sync`")
    source = Path(next(iter(spec.submodule_search_locations))).parent
    target = ROOT / ".googleapis/google"
    shutil.rmtree(target, ignore_errors=True)
    for name in ("api/annotations", "api/field_behavior", "api/http", "rpc/error_details", "rpc/status"):
        file = target / f"{name}.proto"
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / f"{name}.proto", file)


def generate(into: Path) -> None:
    template = (ROOT / "buf.gen.yaml").read_text()
    buf("generate", "--template", template.replace("protos/gen", str(into)))
    buf("build", "--exclude-source-info", "-o", str(into / "descriptors.binpb"))


def describe(into: Path) -> None:
    """Write the OpenAPI document and its page, from an image with comments and from what the API prints."""
    command = [sys.executable, "-m", "gostream_api.rpc.json.facts"]
    facts = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image.binpb"
        buf("build", "-o", str(image))
        described = document(image.read_bytes(), Facts(**json.loads(facts)))
    text = json.dumps(described, ensure_ascii=False, indent=2)
    (into / "openapi.json").write_text(f"{text}\n")
    (into / "reference.html").write_text(page(described))


def drifted(fresh: Path) -> list[str]:
    """Returns the names of generated files that differ from the committed files or are missing there."""
    names = sorted(str(file.relative_to(fresh)) for file in fresh.rglob("*") if file.is_file())
    committed = {str(file.relative_to(GENERATED)) for file in GENERATED.glob("gostream/v1/*_pb2*")}
    same, _, _ = filecmp.cmpfiles(fresh, GENERATED, names, shallow=False)
    return sorted((set(names) | committed) - set(same))


def check() -> None:
    buf("lint")
    buf("format", "--diff", "--exit-code", "protos")
    buf("breaking", "protos", "--against", str(BASELINE))
    with tempfile.TemporaryDirectory() as folder:
        for step in (generate, describe):
            step(Path(folder))
            if names := drifted(Path(folder)):
                sys.exit(f"generated files are out of date, run `make gen`: {', '.join(names)}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="compare instead of write; lint; breaking changes")
    mode.add_argument("--release", action="store_true", help="make the current contract the baseline")
    arguments = parser.parse_args()
    copy_googleapis()
    if arguments.check:
        check()
    elif arguments.release:
        buf("build", "protos", "--exclude-source-info", "-o", str(BASELINE))
    else:
        generate(GENERATED)
        describe(GENERATED)


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
