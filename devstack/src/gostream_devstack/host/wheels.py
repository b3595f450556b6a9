"""Where the servers' programs are: in wheels, beside the interpreter."""

import sys
from importlib.util import find_spec
from pathlib import Path

from gostream_devstack.errors import StackError


def package(name: str) -> Path:
    """The folder of an installed package, without importing it (some bring a whole client)."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StackError(f"the package {name} is not installed")
    return Path(spec.submodule_search_locations[0])


def program(folder: Path, pattern: str) -> Path:
    """The one program that matches `pattern` below `folder`."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise StackError(f"no {pattern} in {folder}: is there a wheel for this platform?")
    return found[0]


def script(name: str) -> Path:
    """A program that a wheel puts beside the interpreter."""
    return program(Path(sys.executable).parent, name)
