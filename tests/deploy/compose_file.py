"""docker-compose.yml as Compose resolves it if no variable is set."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PLACEHOLDER = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def resolve(node: Any) -> Any:
    """Resolves the file as Compose does if no variable is set."""
    if isinstance(node, dict):
        return {key: resolve(value) for key, value in node.items()}
    if isinstance(node, list):
        return [resolve(value) for value in node]
    return PLACEHOLDER.sub(lambda match: match[2], node) if isinstance(node, str) else node


def _services() -> dict[str, dict[str, Any]]:
    resolved = resolve(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))
    return dict(resolved["services"])


SERVICES = _services()
