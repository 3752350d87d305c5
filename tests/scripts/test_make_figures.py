"""Tables in README and docs are those of docs/results; the quick pictures can be drawn."""

from types import ModuleType

import pytest
import typer

from flipdetect.outputs.plots.canvas import figure_to_array
from tests.scripts.loading import load_script


@pytest.fixture(scope="module")
def figures() -> ModuleType:
    return load_script("make_figures")


def test_the_tables_of_the_repository_are_up_to_date(figures: ModuleType) -> None:
    with pytest.raises(typer.Exit) as end:
        figures.main(check=True)
    assert end.value.exit_code == 0


@pytest.mark.parametrize("name", ["training", "confusion", "comparison"])
def test_pictures_are_drawn_from_the_results(figures: ModuleType, name: str) -> None:
    assert figure_to_array(getattr(figures, name)()).std() > 0
