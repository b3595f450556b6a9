"""Coverage-guided fuzzing of all targets, or of the named ones. Run by `make fuzz`; needs atheris.

A failing input is stored in the corpus of its target as `crash-…`: give it a telling name, and commit it.
"""

import argparse
import subprocess
import sys

from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help="targets; all by default")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    given = parser.parse_args()
    failed = [name for name in given.names or TARGETS if not _run(name, given.seconds)]
    if failed:
        print("failed: " + ", ".join(failed))
    return len(failed)


def _run(name: str, seconds: int) -> bool:
    """Fuzzes in a separate process, because the library ends the process. Returns True without a failure."""
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(seconds)]
    done = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=10 * seconds + 600, check=False
    )
    lines = done.stderr.splitlines()
    runs = next((line.split()[1] for line in reversed(lines) if line.startswith("Done ")), "?")
    print(f"{name}: {runs} runs, {'no failure' if not done.returncode else 'FAILED'}", flush=True)
    if done.returncode:
        print((done.stdout + done.stderr)[-6000:])
    return not done.returncode


if __name__ == "__main__":
    sys.exit(main())
