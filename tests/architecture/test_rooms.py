"""What no import contract says: `shared` is shared, and the wheels ship no test code."""

import grimp

#: Modules of `shared` that one service alone reaches, each with its reason.
EXCEPTIONS = {
    "gostream_shared.storage.check": "an operator's command over the store of both services",
    "gostream_shared.storage.multipart_facts": "rules of uploads in parts, behind the same command",
    "gostream_shared.storage.facts": "the rules behind that command; the worker checks one at its start",
}
API = ("gostream_api.app", "gostream_api.multiprocess")
WORKER = (
    "gostream_worker.app",
    "gostream_worker.probe.forking.server",
    "gostream_worker.probe.child",
    "gostream_worker.sandbox.launcher",
)


def reached(graph: grimp.ImportGraph, roots: tuple[str, ...]) -> set[str]:
    """The modules that the roots import, directly or not."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            waiting += graph.find_modules_directly_imported_by(module)
    return found


def test_both_services_reach_every_shared_module() -> None:
    graph = grimp.build_graph("gostream_shared", "gostream_api", "gostream_worker")
    packages = {module for module in graph.modules if graph.find_children(module)}

    shared = {module for module in graph.modules if module.startswith("gostream_shared.")} - packages
    alone = shared - (reached(graph, API) & reached(graph, WORKER))

    assert shared
    assert alone == set(EXCEPTIONS)


def test_wheels_ship_no_test_code() -> None:
    graph = grimp.build_graph(
        "gostream_conformance",
        "gostream_client",
        "gostream_shared",
        "gostream_api",
        "gostream_worker",
        "gostream_audit",
        "gostream_cli",
        include_external_packages=True,
    )

    assert {"pytest", "hypothesis", "tests"} & graph.modules == set()
    assert not {module for module in graph.modules if "test" in module.rpartition(".")[2]}
