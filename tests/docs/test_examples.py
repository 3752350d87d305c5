"""What README and guides show: options exist, files exist, and the examples marked as tested run."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from flipdetect.cli.configs import find_config
from flipdetect.cli.main import PASSED_ON, build_app, main
from tests.frame_sets import page_frame
from tests.rendered_sets import make_rendered_set
from tests.sources.films import write

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = [
    page
    for page in (REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md")))
    if "results" not in page.parts
]
BLOCK = re.compile(r"(?P<tested><!-- tested -->\n)?^```(?P<language>bash|python)\n(?P<text>.*?)^```", re.M | re.S)
LINK = re.compile(r"\]\((?!https?:|#|mailto:)(?P<path>[^)#\s]+)")


class Example(NamedTuple):
    """A block of code in a page."""

    page: str
    language: str
    text: str
    tested: bool

    def commands(self) -> Iterator[list[str]]:
        """The words of each line that calls `flipdetect`, without it."""
        for line in self.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["flipdetect"]:
                yield words[1:]


EXAMPLES = [
    Example(
        page.relative_to(REPOSITORY).as_posix(), found["language"], found["text"], tested=found["tested"] is not None
    )
    for page in PAGES
    for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
]
LINES = [(example.page, words) for example in EXAMPLES for words in example.commands()]


@pytest.mark.parametrize(("page", "words"), LINES, ids=[" ".join(words) for _, words in LINES])
def test_the_options_of_an_example_exist(page: str, words: list[str]) -> None:
    commands = typer.main.get_command(build_app()).commands  # type: ignore[attr-defined]
    if words[0].startswith("-"):
        return
    assert words[0] in commands, f"{page}: no command {words[0]}"
    for file in (word for word in words if word.startswith("configs/")):
        assert (REPOSITORY / file).is_file(), f"{page}: no file {file}"
    for option, name in pairwise(words):
        if option == "--config" and not name.endswith(".yaml"):
            find_config(name)
    if words[0] in PASSED_ON:
        return
    known = {name for parameter in commands[words[0]].params for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words[1:] if word.startswith("-") and word.split("=")[0] not in known | {"--help"}]
    assert not unknown, f"{page}: flipdetect {words[0]} has no option {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [link["path"] for link in LINK.finditer(text) if not (page.parent / link["path"]).exists()]
    assert not missing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples speak of: frames/, my_frames/ and book.mp4."""
    root = tmp_path_factory.mktemp("examples")
    for name in ("frames", "my_frames"):
        make_rendered_set(root / name)
    write(root / "book.mp4", (page_frame(8 < second % 20 < 14, 1, 256) for second in range(40)), rate=10)
    return root


TESTED = [example for example in EXAMPLES if example.tested]


@pytest.mark.parametrize("example", TESTED, ids=lambda example: f"{example.page}: {example.text.splitlines()[0]}")
def test_an_example_runs(example: Example, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    if example.language == "python":
        exec(compile(example.text, example.page, "exec"), {"frames": [page_frame(True, 1), page_frame(False, 2)]})
    for words in example.commands():
        assert main(words) == 0, f"{example.page}: flipdetect {shlex.join(words)}"


def test_some_examples_are_tested() -> None:
    assert {example.page for example in TESTED} >= {"README.md", "docs/quickstart.md", "docs/guides/video.md"}
