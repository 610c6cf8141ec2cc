"""What holds for the house as a whole: its layout, what an import costs, and rules that no linter knows."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import grimp
import networkx
import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "platform": "tracebank",
    "schemas": "tracebank_schemas",
    "models": "tracebank_models",
    "benchmarks": "tracebank_benchmarks",
    "assets": "tracebank_assets",
}
MODULES = sorted(path for room, package in ROOMS.items() for path in (ROOT / room / package).rglob("*.py"))


def test_no_module_imports_itself_by_way_of_another() -> None:
    """Types alone may be named in a circle: they are not imported when the program runs."""
    graph = grimp.build_graph(*ROOMS.values(), exclude_type_checking_imports=True, cache_dir=None)
    arrows = networkx.DiGraph(
        (one, other) for one in graph.modules for other in graph.find_modules_directly_imported_by(one)
    )
    assert [sorted(circle) for circle in networkx.strongly_connected_components(arrows) if len(circle) > 1] == []


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_the_source_roots_hold_one_package_each() -> None:
    for room, package in ROOMS.items():
        found = {path.name for path in (ROOT / room).iterdir() if path.name != "__pycache__"}
        assert found == {package}, room


def test_platform_is_no_package() -> None:
    """It would shadow Python's own `platform`."""
    assert not (ROOT / "platform" / "__init__.py").exists()


@pytest.mark.parametrize("package", ROOMS.values())
def test_the_packages_can_be_imported(package: str) -> None:
    module = importlib.import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).is_relative_to(ROOT)


@pytest.mark.parametrize(
    "module", ["tracebank", "tracebank.stores", "tracebank.settings", "tracebank_schemas.catalogue"]
)
def test_light_modules_import_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert module.partition(".")[0] in loaded
    assert loaded & {"torch", "transformers", "dagster", "chdb", "numba", "clickhouse_connect"} == set()


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_every_module_says_what_belongs_in_it(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "a module opens with a docstring that says what belongs in it"
    assert len(docstring.split()) > 2


def _defines_assets(tree: ast.Module) -> bool:
    """A decorator out of Dagster that reads annotations when the module is imported."""
    names = {
        "asset",
        "multi_asset",
        "asset_check",
        "multi_asset_check",
        "sensor",
        "asset_sensor",
        "schedule",
        "op",
        "job",
    }
    decorators = [
        mark.func if isinstance(mark, ast.Call) else mark
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for mark in node.decorator_list
    ]
    return any(
        (isinstance(mark, ast.Attribute) and mark.attr in names) or (isinstance(mark, ast.Name) and mark.id in names)
        for mark in decorators
    )


def _postpones_annotations(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(n.name == "annotations" for n in node.names)
        for node in tree.body
    )


def test_modules_of_assets_do_not_postpone_annotations() -> None:
    """Dagster reads them at run time, and the import of such a module fails."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
    assets = [path for path, tree in trees.items() if _defines_assets(tree)]
    assert [_name(path) for path in assets if _postpones_annotations(trees[path])] == []


def test_the_scan_for_assets_sees_one() -> None:
    bad = ast.parse(
        "from __future__ import annotations\nimport dagster as dg\n@dg.asset(key='a')\ndef a() -> None: ..."
    )
    assert _defines_assets(bad)
    assert _postpones_annotations(bad)


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "base", "misc", "manager"}
    assert [_name(path) for path in MODULES if {path.stem, *path.relative_to(ROOT).parts} & empty] == []
