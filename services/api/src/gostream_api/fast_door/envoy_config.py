"""Running the application inside Envoy: the program, its configuration and its variables."""

import copy
import os
import sys
import sysconfig
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MODULE = "PYVOY_MODULE"
#: The name of the filter that the application is.
APPLICATION = "envoy.filters.http.composite"
_OFF = {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": True}

Tree = dict[str, Any]


def obstacle() -> str | None:
    """Why this interpreter cannot be embedded into Envoy here; None when it can."""
    if sys.platform != "linux":
        return f"there is no Envoy with pyvoy for {sys.platform}"
    if pyvoy_module() is None or _envoy() is None:
        return "pyvoy is not installed: gostream-api[door] has wheels for glibc Linux on x86_64 and aarch64"
    if _libpython() is None:
        return f"{sys.executable} has no shared libpython, so it cannot be embedded (python: --enable-shared)"
    return None


def with_door(edge: Tree, door: Tree) -> Tree:
    """The edge's configuration (deploy/envoy/envoy.yaml) with the door (deploy/envoy/door.yaml) put in."""
    config = copy.deepcopy(edge)
    config["admin"]["allow_paths"] += copy.deepcopy(door["admin_paths"])
    [listener] = config["static_resources"]["listeners"]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"][-1:-1] = _replaced(door["http_filters"], str(pyvoy_module()))
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    behind_refusals = next(index for index, route in enumerate(routes) if "route" in route)  # Host, origin
    for route in routes:
        if "direct_response" in route:  # some for paths of the application
            route["typed_per_filter_config"] = {**route["typed_per_filter_config"], APPLICATION: _OFF}
    routes[behind_refusals:behind_refusals] = copy.deepcopy(door["routes"])
    for log in manager.get("access_log", ()):
        log["filter"] = copy.deepcopy(door["access_log_filter"])
    return config


def variables() -> Mapping[str, str]:
    """What Envoy's environment must say, so that the embedded interpreter is this one."""
    return {
        "PYTHONHOME": f"{sys.base_prefix}:{sys.base_exec_prefix}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "LD_PRELOAD": str(_libpython()),
    }


def envoy_program() -> str:
    """The path of the Envoy that pyvoy's module was made for. Only where there is no obstacle."""
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
    """The path of the dynamic module; None where pyvoy is not installed."""
    spec = find_spec("pyvoy._pyvoy") if find_spec("pyvoy") else None
    return spec.origin if spec else None


def _libpython() -> Path | None:
    """The interpreter as a shared library: its own file, not whichever the system has."""
    name = sysconfig.get_config_var("INSTSONAME")
    if not name or ".so" not in name:
        return None
    folders = [Path(sys.base_prefix) / "lib"]  # first: the build's own folders are wrong after a move
    for variable in ("LIBDIR", "LIBPL"):
        folder = sysconfig.get_config_var(variable)
        folders += [Path(folder), Path(folder) / str(sysconfig.get_config_var("MULTIARCH"))] if folder else []
    # Not Path.exists, which raises where the folder is closed to this user.
    return next((folder / name for folder in folders if os.path.exists(folder / name)), None)  # noqa: PTH110
