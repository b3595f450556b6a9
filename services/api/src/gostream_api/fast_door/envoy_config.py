"""Everything to run the application inside Envoy: the program, its configuration and its environment."""

import copy
import os
import sys
import sysconfig
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MODULE = "PYVOY_MODULE"
#: The name of the application's HTTP filter.
APPLICATION = "envoy.filters.http.composite"
_OFF = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}

Tree = dict[str, Any]


def obstacle() -> str | None:
    """Returns the reason why this interpreter cannot be embedded into Envoy; None if it can."""
    if sys.platform != "linux":
        return f"pyvoy has no Envoy for {sys.platform}"
    if pyvoy_module() is None or _envoy() is None:
        return "pyvoy is not installed: gostream-api[door] has wheels for glibc Linux on x86_64 and aarch64"
    if _libpython() is None:
        return f"{sys.executable} has no shared libpython, so it cannot be embedded (python: --enable-shared)"
    return None


def with_door(edge: Tree, door: Tree) -> Tree:
    """Merge the door's configuration (deploy/envoy/door.yaml) into the edge's (deploy/envoy/envoy.yaml)."""
    config = copy.deepcopy(edge)
    config["admin"]["allow_paths"] += copy.deepcopy(door["admin_paths"])
    [listener] = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"][-1:-1] = _replaced(door["http_filters"], str(pyvoy_module()))
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    behind_refusals = next(index for index, route in enumerate(routes) if "route" in route)  # Host, origin
    for route in routes:
        if "direct_response" in route:  # the application serves some of these paths
            route["typed_per_filter_config"] = {**route["typed_per_filter_config"], APPLICATION: _OFF}
    routes[behind_refusals:behind_refusals] = copy.deepcopy(door["routes"])
    for log in manager.get("access_log", ()):
        log["filter"] = copy.deepcopy(door["access_log_filter"])
    return config


def variables() -> Mapping[str, str]:
    """Returns the environment that makes Envoy embed this interpreter."""
    return {
        "PYTHONHOME": f"{sys.base_prefix}:{sys.base_exec_prefix}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "LD_PRELOAD": str(_libpython()),
    }


def envoy_program() -> str:
    """Returns the path of the Envoy that matches pyvoy's module. Call it only if `obstacle` returns None."""
    return str(_envoy())


def _envoy() -> Path | None:
    spec = find_spec("envoy")
    folders = spec.submodule_search_locations if spec else None
    return next((Path(folder) / "_bin/envoy" for folder in folders or ()), None)


def _replaced(tree: Any, module: str) -> Any:
    if isinstance(tree, dict):
        return {key: _replaced(value, module) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_replaced(value, module) for value in tree]
    return module if tree == MODULE else tree


def pyvoy_module() -> str | None:
    """Returns the path of pyvoy's dynamic module; None if pyvoy is not installed."""
    spec = find_spec("pyvoy._pyvoy") if find_spec("pyvoy") else None
    return spec.origin if spec else None


def _libpython() -> Path | None:
    """Returns this interpreter's shared library, never another one of the system."""
    name = sysconfig.get_config_var("INSTSONAME")
    if not name or ".so" not in name:
        return None
    folders = [Path(sys.base_prefix) / "lib"]  # first: the build's folders are wrong after a move
    for variable in ("LIBDIR", "LIBPL"):
        folder = sysconfig.get_config_var(variable)
        folders += [Path(folder), Path(folder) / str(sysconfig.get_config_var("MULTIARCH"))] if folder else []
    # Instead of Path.exists, which raises if this user may not read the folder.
    return next((folder / name for folder in folders if os.path.exists(folder / name)), None)  # noqa: PTH110
