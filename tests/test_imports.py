"""The architecture: imports point one way, and heavy libraries load only where they are used."""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "bayeslat"

CHAIN = ("traces", "features", "model", "inference", "decisions", "evaluation", "report", "cli")
# Folders of `inference`: each may import those before it.
INFERENCE = (
    *("engines", "rows", "hurdles", "posteriors"),
    *("storage", "calibration", "fitting", "compression"),
)
LEAVES = frozenset({"errors", "atomic", "caches", "counted", "finite", "parallel", "paths"})
ALONE = frozenset({"serving"})  # runs in the environment of a server, without the rest
TOP = frozenset({"", "__main__"})  # the package's own __init__, and `python -m`

# Which units (a folder or file of the package) a unit may import, besides itself and the leaves.
ALLOWED: dict[str, frozenset[str]] = {
    **{unit: frozenset(CHAIN[:position]) for position, unit in enumerate(CHAIN)},
    **dict.fromkeys(LEAVES | ALONE, frozenset()),
    "collect": frozenset({"traces", "features"}),
    "export": frozenset(CHAIN[: CHAIN.index("decisions") + 1]),
}
# What users call from Python, and the parts of the command line.
ALLOWED["arguments"] = ALLOWED["model"]
ALLOWED["model"] |= {"arguments"}  # `simulate`, which users call
ALLOWED["decisions"] |= {"arguments"}  # of methods that users call with a table
ALLOWED["evaluation"] |= {"arguments"}  # of functions that users call with a table
ALLOWED["posterior"] = ALLOWED["report"] | {"arguments", "export"}
ALLOWED["fitting"] = ALLOWED["posterior"] | {"posterior"}
ALLOWED["cli"] |= {"collect", "export", "fitting", "posterior"}
ALLOWED["cli"] |= {"cli_collect", "cli_decide", "cli_export", "cli_import", "cli_report"}
ALLOWED["cli"] |= {"cli_check", "cli_drift", "cli_fit", "cli_predict", "cli_simulate"}
ALLOWED["cli"] |= {"cli_transfer"}
ALLOWED["compression"] = ALLOWED["posterior"] | {"posterior"}
ALLOWED["cli"] |= {"cli_scale", "compression"}
ALLOWED["report"] |= {"export"}
ALLOWED["cli"] |= {"cli_input", "cli_options", "cli_rows", "cli_run", "cli_values"}
ALLOWED["cli"] |= {"cli_output"}
ALLOWED["cli_output"] = frozenset({"traces"})
ALLOWED |= dict.fromkeys(("cli_options", "cli_run", "cli_values"), frozenset())
ALLOWED["cli_input"] = ALLOWED["evaluation"] | {"cli_run", "cli_values"}
ALLOWED["cli_rows"] = ALLOWED["cli_input"] | {"cli_input", "cli_output"}
ALLOWED["cli_collect"] = ALLOWED["evaluation"] | {"collect", "report", "cli_options", "cli_run"}
ALLOWED["cli_collect"] |= {"cli_output"}
ALLOWED["cli_import"] = frozenset(
    {"traces", "features", "report", "cli_options", "cli_output", "cli_run", "cli_values"}
)
ALLOWED["cli_transfer"] = ALLOWED["report"] | {"report", "fitting", "posterior"}
ALLOWED["cli_transfer"] |= {"cli_input", "cli_options", "cli_rows", "cli_run", "cli_values"}
ALLOWED["cli_transfer"] |= {"cli_output"}
ALLOWED["cli_decide"] = ALLOWED["cli_report"] = ALLOWED["cli_transfer"]
ALLOWED["cli_check"] = ALLOWED["cli_drift"] = ALLOWED["cli_transfer"]
ALLOWED["cli_predict"] = ALLOWED["cli_simulate"] = ALLOWED["cli_transfer"]
ALLOWED["cli_export"] = ALLOWED["cli_transfer"] | {"export"}
ALLOWED["cli_fit"] = ALLOWED["cli_transfer"] | {"compression"}
ALLOWED["cli_scale"] = ALLOWED["cli_fit"] | {"cli_fit"}
ALLOWED |= dict.fromkeys(TOP, frozenset(ALLOWED) | TOP)

# Which units alone may import a heavy library, even inside a function.
OWNERS: dict[str, frozenset[str]] = {
    "pymc": frozenset({"model", "inference"}),
    "pytensor": frozenset({"model", "inference"}),
    "nutpie": frozenset({"inference"}),
    "matplotlib": frozenset({"report"}),
    "sklearn": frozenset({"evaluation"}),
    "xgboost": frozenset({"evaluation"}),
    "torch": frozenset({"collect"}),
    "transformers": frozenset({"collect"}),
    "pynvml": frozenset({"collect"}),
    "vllm": frozenset({"serving"}),
    "dask": frozenset({"parallel"}),
    "distributed": frozenset({"parallel"}),
}
NOT_FOR_COLLECT = frozenset({"pymc", "pytensor", "nutpie", "arviz"})

HEAVY = frozenset({"pymc", "pytensor", "torch", "arviz", "nutpie", "matplotlib", "distributed"})
NOT_FOR_HELP = HEAVY | {"numba", "numpy", "pandas", "pyarrow", "scipy", "xarray"}


@dataclass(frozen=True)
class Import:
    """One imported module: who asks for what, on which line, and how."""

    importer: str
    imported: str
    line: int
    at_run_time: bool  # False under `if TYPE_CHECKING:`
    at_top_level: bool  # False inside a function

    @property
    def library(self) -> str:
        return self.imported.split(".")[0]

    def __str__(self) -> str:
        return f"{self.importer}, line {self.line}: imports {self.imported}"


def unit_of(module: str) -> str:
    """Return the folder or file of the package that a module belongs to; "" for the package."""
    return module.removeprefix(PACKAGE).removeprefix(".").split(".")[0]


def modules_of(root: Path) -> dict[str, Path]:
    """Return the file of each module of the package under `root`, by dotted name."""
    modules = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(root: Path) -> list[Import]:
    """Return every import of every module of the package under `root`."""
    modules = modules_of(root)
    return [
        found
        for module, path in modules.items()
        for found in _walk(ast.parse(path.read_text(encoding="utf-8")), module, path, modules)
    ]


def _walk(
    node: ast.AST,
    module: str,
    path: Path,
    modules: dict[str, Path],
    at_run_time: bool = True,
    at_top_level: bool = True,
) -> Iterator[Import]:
    """Yield the imports at and below a node of the syntax tree."""
    for name in _imported_names(node, module, path, modules):
        yield Import(module, name, getattr(node, "lineno", 0), at_run_time, at_top_level)
    at_top_level = at_top_level and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    typing_only = node.body if isinstance(node, ast.If) and _is_type_checking(node.test) else []
    for child in ast.iter_child_nodes(node):
        runs = at_run_time and child not in typing_only
        yield from _walk(child, module, path, modules, runs, at_top_level)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _imported_names(
    node: ast.AST, module: str, path: Path, modules: dict[str, Path]
) -> Iterator[str]:
    """Yield the modules that one node imports, as absolute names."""
    match node:
        case ast.Import(names=aliases):
            yield from (alias.name for alias in aliases)
        case ast.ImportFrom(module=name, names=aliases, level=level):
            source = _absolute(name or "", level, module, path)
            for alias in aliases:  # `from package import x`: a module of it, or a name in it
                full = f"{source}.{alias.name}"
                yield full if full in modules else source
        case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
            if ast.unparse(function) in {"import_module", "importlib.import_module", "__import__"}:
                yield name


def _absolute(name: str, level: int, module: str, path: Path) -> str:
    """Return the absolute name of what `from <level dots><name> import` reads."""
    if level == 0:
        return name
    parts = module.split(".")
    folder = parts if path.name == "__init__.py" else parts[:-1]
    parents = folder[: len(folder) - (level - 1)]
    return ".".join([*parents, name] if name else parents)


def backward_imports(imports: list[Import]) -> list[Import]:
    """Return the imports between units that the layers do not allow."""
    return [
        found
        for found in imports
        if found.library == PACKAGE
        and (found.at_run_time or unit_of(found.importer) not in LEAVES)
        and not _may_import(unit_of(found.importer), unit_of(found.imported))
    ]


def _may_import(importer: str, imported: str) -> bool:
    if importer in ALONE:
        return imported == importer
    return imported == importer or imported in LEAVES | ALLOWED[importer]


def backward_imports_of_inference(imports: list[Import]) -> list[Import]:
    """Return the imports between folders of `inference` that point backwards."""
    return [
        found
        for found in imports
        if (importer := _folder_of_inference(found.importer))
        and (imported := _folder_of_inference(found.imported))
        and INFERENCE.index(imported) > INFERENCE.index(importer)
    ]


def _folder_of_inference(module: str) -> str:
    """Return the folder of `inference` that a module lies in; "" for others."""
    inside = module.removeprefix(f"{PACKAGE}.inference.")
    return "" if inside == module else inside.split(".")[0]


def misplaced_libraries(imports: list[Import]) -> list[Import]:
    """Return the imports of a heavy library by a unit that must do without it."""
    return [found for found in imports if _is_misplaced(unit_of(found.importer), found.library)]


def _is_misplaced(unit: str, library: str) -> bool:
    if unit == "collect" and library in NOT_FOR_COLLECT:
        return True
    return library in OWNERS and unit not in OWNERS[library]


def import_cycle(imports: list[Import]) -> list[str]:
    """Return the modules of one cycle of top-level imports, or none."""
    graph: dict[str, set[str]] = {}
    for found in imports:
        if found.at_run_time and found.at_top_level and found.library == PACKAGE:
            graph.setdefault(found.importer, set()).add(found.imported)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def loaded_by(code: str) -> set[str]:
    """Return the libraries that a fresh interpreter has loaded after running the code.

    With their parts, as in `scipy.stats`.
    """
    report = (
        "import atexit, json, sys\n"
        "parts = lambda size: {'.'.join(name.split('.')[:size]) for name in sys.modules}\n"
        "names = lambda: sorted(parts(1) | parts(2))\n"
        "atexit.register(lambda: print('\\n' + json.dumps(names()), file=sys.__stdout__))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", report + code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def imports() -> list[Import]:
    return imports_of(ROOT)


@pytest.fixture
def broken_twin(tmp_path: Path) -> Path:
    """Return a root whose package breaks every rule once."""
    files = {
        "__init__.py": "",
        "cli.py": "",
        "errors.py": (
            "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    import bayeslat.traces.read\n"
            "else:\n    import bayeslat.traces.twin\n"
        ),
        "traces/__init__.py": "from bayeslat.traces.read import read",
        "traces/read.py": "def read():\n    from bayeslat.features import spec",
        "traces/twin.py": "from bayeslat.traces import read",
        "features/__init__.py": "from . import spec",
        "features/spec.py": "from .. import cli\nfrom ..traces.read import read",
        "model/build.py": "import importlib\nimportlib.import_module('bayeslat.report')",
        "report/__init__.py": "import bayeslat",
        "inference/rows/plan.py": "def plan():\n    from ..fitting import fit",
        "inference/fitting/fit.py": "from bayeslat.inference.rows import plan",
        "decisions/guard.py": "def guard():\n    import pymc.math",
        "collect/probe.py": "import torch\nfrom arviz import summary",
    }
    for name, text in files.items():
        path = tmp_path / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_every_unit_of_the_package_has_its_place() -> None:
    assert {unit_of(module) for module in modules_of(ROOT)} <= set(ALLOWED)


def test_no_import_points_backwards(imports: list[Import]) -> None:
    assert any(found.library == PACKAGE for found in imports)
    assert [str(found) for found in backward_imports(imports)] == []


def test_backward_imports_of_the_twin_are_found(broken_twin: Path) -> None:
    found = {(item.importer, item.imported) for item in backward_imports(imports_of(broken_twin))}
    assert found == {
        ("bayeslat.errors", "bayeslat.traces.twin"),
        ("bayeslat.traces.read", "bayeslat.features.spec"),
        ("bayeslat.features.spec", "bayeslat.cli"),
        ("bayeslat.model.build", "bayeslat.report"),
        ("bayeslat.report", "bayeslat"),
    }


def test_folders_of_inference_point_one_way(imports: list[Import]) -> None:
    folders = {_folder_of_inference(module) for module in modules_of(ROOT)} - {""}
    assert folders == set(INFERENCE)
    assert [str(found) for found in backward_imports_of_inference(imports)] == []


def test_backward_imports_in_inference_of_the_twin_are_found(broken_twin: Path) -> None:
    found = backward_imports_of_inference(imports_of(broken_twin))
    assert [(item.importer, item.imported) for item in found] == [
        ("bayeslat.inference.rows.plan", "bayeslat.inference.fitting.fit")
    ]


def test_heavy_libraries_are_imported_by_their_owners_alone(imports: list[Import]) -> None:
    assert [str(found) for found in misplaced_libraries(imports)] == []


def test_misplaced_libraries_of_the_twin_are_found(broken_twin: Path) -> None:
    found = {(item.importer, item.library) for item in misplaced_libraries(imports_of(broken_twin))}
    assert found == {("bayeslat.decisions.guard", "pymc"), ("bayeslat.collect.probe", "arviz")}


def test_no_modules_import_each_other_in_a_circle(imports: list[Import]) -> None:
    assert import_cycle(imports) == []


def test_a_circle_of_imports_is_found(tmp_path: Path) -> None:
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "a.py").write_text("import bayeslat.b", encoding="utf-8")
    (folder / "b.py").write_text("from bayeslat import a", encoding="utf-8")
    assert set(import_cycle(imports_of(tmp_path))) == {"bayeslat.a", "bayeslat.b"}
    (folder / "b.py").write_text("def f():\n    from bayeslat import a", encoding="utf-8")
    assert import_cycle(imports_of(tmp_path)) == []


def test_importing_the_package_is_light() -> None:
    assert loaded_by(f"import {PACKAGE}") & NOT_FOR_HELP == set()


@pytest.mark.parametrize(
    "command",
    [
        "", "fit", "check", "drift", "predict", "suggest", "guard", "report", "simulate", "import",
        "collect", "collect vlm",
    ],
)  # fmt: skip
def test_asking_for_help_is_light(command: str) -> None:
    words = [PACKAGE, *command.split(), "--help"]
    code = (
        f"import runpy, sys; sys.argv = {words!r}; "
        f"runpy.run_module({PACKAGE!r}, run_name='__main__', alter_sys=True)"
    )
    assert loaded_by(code) & NOT_FOR_HELP == set()


def test_decisions_load_no_heavy_library() -> None:
    """Nor `scipy.stats`, which takes longer than all the rest of it."""
    modules = [name for name in modules_of(ROOT) if unit_of(name) == "decisions"]
    assert modules
    imports = "\n".join(f"import {name}" for name in [*modules, f"{PACKAGE}.posterior"])
    assert loaded_by(imports) & (HEAVY | {"scipy.stats"}) == set()


def test_baselines_load_the_libraries_of_a_method_when_it_is_used() -> None:
    extra = {"sklearn", "xgboost"}
    assert loaded_by("import bayeslat.evaluation.baselines") & (HEAVY | extra) == set()
    code = "from bayeslat.evaluation.baselines.libraries import require; require('xgboost')"
    assert loaded_by(code) & extra >= {"xgboost"}


def test_a_heavy_import_is_noticed() -> None:
    assert loaded_by("import matplotlib") & HEAVY == {"matplotlib"}
