"""Generate the recording rules of Prometheus and the dashboards of Grafana: `make gen`.

--check, for `make check`, fails if the committed files differ.
"""

import argparse
import sys
from pathlib import Path

from tools.observability.dashboards import dashboards
from tools.observability.objectives import rules

ROOT = Path(__file__).resolve().parents[2]


def generated() -> dict[str, str]:
    """Returns the text of every generated file by its path."""
    files = {f"deploy/grafana/{name}.json": text for name, text in dashboards().items()}
    return {"deploy/prometheus/objectives.yaml": rules(), **files}


def drifted(root: Path) -> list[str]:
    """Returns the paths below `root` that differ from the generated files, lack, or are left over."""
    files = generated()
    kept = {path.relative_to(root).as_posix() for path in root.glob("deploy/grafana/*.json")}
    differ = {
        name
        for name, text in files.items()
        if not (root / name).is_file() or (root / name).read_text() != text
    }
    return sorted(differ | (kept - set(files)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare instead of write")
    if parser.parse_args().check:
        if names := drifted(ROOT):
            sys.exit(f"generated files are out of date, run `make gen`: {', '.join(names)}")
        return
    for name, text in generated().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
