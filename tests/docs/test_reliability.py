"""docs/reliability.md names a test for each case that was found, and the tests are there."""

import re

from tests.conftest import REPOSITORY

FOLDERS = ("01", "02", "03", "04", "05", "07", "08", "09", "10", "11", "12", "15")
SITUATIONS = [f"F{number}" for number in range(1, 22)]


def test_each_case_has_a_test_and_each_test_exists() -> None:
    text = (REPOSITORY / "docs" / "reliability.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if re.search(r"`test_\w+`", line)]
    for case in (*FOLDERS, *SITUATIONS):
        assert any(re.search(rf"\b{case}\b", line.split("`test_")[0]) for line in lines), case
    code = "".join(path.read_text("utf-8") for path in (REPOSITORY / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in code, name
