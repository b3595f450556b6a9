"""Fuzzes one target in this process, which the library ends: `python -m tests.fuzz.guided NAME SECONDS`."""

import sys
import tempfile

import atheris

# Imported here for the first time, so that coverage of these packages guides the mutations.
with atheris.instrument_imports(
    include=["gostream_api", "gostream_conformance", "gostream_worker", "h2", "hpack", "hyperframe", "jwt"]
):
    from tests.fuzz import targets


def main(name: str, seconds: str) -> None:
    seeds = targets.CORPUS / name
    options = [f"-max_total_time={seconds}", f"-max_len={targets.LARGEST}", "-timeout=60"]
    with tempfile.TemporaryDirectory() as found:
        arguments = [name, *options, f"-artifact_prefix={seeds}/", found, str(seeds)]
        atheris.Setup(arguments, targets.TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
