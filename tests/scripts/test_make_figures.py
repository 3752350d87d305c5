"""Tables in README and docs are those of docs/results; the quick pictures can be drawn."""

import importlib.util
from types import ModuleType

import pytest

from flipdetect.outputs.plots import figure_to_array
from tests.conftest import REPOSITORY


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_figures", REPOSITORY / "scripts" / "make_figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_repository_are_up_to_date(figures: ModuleType) -> None:
    assert figures.main(["--check"]) == 0


@pytest.mark.parametrize("name", ["training", "confusion", "comparison"])
def test_pictures_are_drawn_from_the_results(figures: ModuleType, name: str) -> None:
    assert figure_to_array(getattr(figures, name)()).std() > 0
