"""Locates the servers' programs, which are installed by wheels."""

import sys
from importlib.util import find_spec
from pathlib import Path

from gostream_devstack.errors import StackError


def package(name: str) -> Path:
    """Returns the folder of an installed package without importing it (some import a whole client)."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StackError(f"the package {name} is not installed")
    return Path(spec.submodule_search_locations[0])


def program(folder: Path, pattern: str) -> Path:
    """Returns the only program that matches `pattern` below `folder`."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise StackError(f"no {pattern} in {folder}: is there a wheel for this platform?")
    return found[0]


def script(name: str) -> Path:
    """Returns a program that a wheel installs next to the interpreter."""
    return program(Path(sys.executable).parent, name)
