"""Who may import whom. The arrows run one way; the light rooms start without torch."""

import ast
import subprocess
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "flipdetect"
ROOTS = {"records", "errors", "atomic", "runs", "progress", "zoo", "parameters", "onnx_session"}
# Each room, and the rooms it may import besides itself and the roots.
RULES: dict[str, set[str]] = {
    "records": set(),
    "errors": set(),
    "atomic": set(),
    "runs": set(),
    "progress": set(),
    "zoo": set(),
    "parameters": set(),
    "onnx_session": set(),
    "sources": set(),
    "synth": set(),
    "events": set(),
    "stills": {"events", "pages"},
    "data": {"sources", "synth"},
    "models": set(),
    "metrics": set(),
    "tasks": {"models", "metrics"},
    "outputs": {"sources"},
    "start": {"sources", "synth", "data"},
    "inference": {"start", "sources", "events", "stills", "data", "models", "tasks"},
    "export": {"sources", "data", "models", "tasks", "inference"},
    "evaluation": {"sources", "events", "stills", "data", "models", "metrics", "tasks", "outputs", "inference"},
    "callbacks": {"sources", "data", "metrics", "outputs", "synth", "inference", "evaluation"},
    "pages": set(),
    "pipeline": {"sources", "events", "stills", "inference", "outputs", "pages"},
    "apps": {"pipeline", "sources", "inference", "outputs", "stills"},
    "__main__": {"cli"},
    "cli": {
        "apps",
        "start",
        "pipeline",
        "sources",
        "synth",
        "data",
        "models",
        "metrics",
        "tasks",
        "events",
        "stills",
        "outputs",
        "export",
        "callbacks",
        "inference",
        "evaluation",
    },
}
FULLEST = 14
"""Modules that a folder may hold besides `__init__`."""
PARALLEL = {"__init__", "base", "evaluate", "parameters"}
"""Names of modules that parallel rooms share: a command and what it calls, a callback and the data it needs."""
HEAVY = {
    "callbacks", "models", "tasks",
    "cli.lightning_cli",
    "data.datamodule", "data.dataset", "data.features", "data.loading",
    "data.augment.chain", "data.augment.fused_warp", "data.boxes.box_datamodule",
    "evaluation.compare", "evaluation.cross_validation", "evaluation.explain",
    "evaluation.study", "evaluation.tuning", "evaluation.box_evaluation",
    "export.detector_onnx", "export.mobile", "export.onnx",
    "inference.torch_model",
    "metrics.frame", "metrics.box_matching", "metrics.mean_ap",
}  # fmt: skip
"""Rooms and modules that import torch; no other does."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_names(path: Path) -> set[str]:
    """Modules of the package that a module imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
    return {name for name in names if name.startswith("flipdetect.")}


def imported_rooms(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imported_names(path)} & set(RULES)


def test_every_room_has_a_rule() -> None:
    assert {room_of(path) for path in modules()} - {"__init__"} == set(RULES)


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_room_imports_along_the_arrows_only(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    forbidden = imported_rooms(path) - RULES[room] - ROOTS - {room}
    if room in ROOTS:
        forbidden |= imported_rooms(path) & {"runs"} - {room}
    assert not forbidden, f"{path.name} must not import {sorted(forbidden)}"


def test_there_is_no_circle_between_rooms() -> None:
    seen: list[str] = []
    left = dict(RULES)
    while left:
        free = [room for room, needs in left.items() if needs <= set(seen)]
        assert free, f"circle among {sorted(left)}"
        seen += free
        left = {room: needs for room, needs in left.items() if room not in free}


def test_there_is_no_circle_between_modules() -> None:
    graph = {}
    for path in modules():
        name = ".".join(("flipdetect", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
        graph[name] = {imported for imported in imported_names(path) if imported != name}
    known = {name: needs & set(graph) for name, needs in graph.items()}
    TopologicalSorter(known).prepare()  # raises CycleError, which names the circle


def test_nothing_is_called_utils() -> None:
    names = {path.stem for path in PACKAGE.rglob("*")}
    assert not names & {"utils", "util", "helpers", "helper", "common", "misc"}


def test_the_package_itself_starts_without_torch() -> None:
    code = "import sys, flipdetect; sys.exit(len(set(sys.modules) & {'torch', 'numpy', 'PIL'}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_the_heavy_modules_import_torch() -> None:
    names = [".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in modules() if path.stem != "__main__"]
    light = [name.removesuffix(".__init__") for name in names if not {name, name.split(".")[0]} & HEAVY]
    assert len(light) > len(names) / 2
    code = (
        "import importlib, sys\n"
        f"for name in {light}:\n"
        "    importlib.import_module(f'flipdetect.{name}')\n"
        "    assert 'torch' not in sys.modules, f'{name} imports torch'\n"
    )
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_only_the_service_imports_the_web_framework() -> None:
    for path in modules():
        words = {word.split(".")[0] for word in path.read_text("utf-8").split()}
        found = words & {"fastapi", "pydantic", "starlette"}
        assert not found or path.stem in ("service", "http_app"), f"{path.name} imports {sorted(found)}"


def test_no_folder_is_too_full() -> None:
    counts = Counter(path.parent.relative_to(PACKAGE).as_posix() for path in modules() if path.stem != "__init__")
    assert {folder: count for folder, count in counts.items() if count > FULLEST} == {}


def test_a_module_name_means_one_thing() -> None:
    counts = Counter(path.stem for path in modules())
    assert {name for name, count in counts.items() if count > 1} == PARALLEL


def test_a_class_name_means_one_thing() -> None:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in modules()]
    names = [node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert {name for name, count in Counter(names).items() if count > 1} == set()
