"""What is said of pip-audit's findings; nothing that was not looked up counts as sound."""

from tests.scripts.loading import load_script

SOUND = {"name": "numpy", "version": "2.0", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.14.1)"}
OWN = {"name": "flipdetect", "skip_reason": "distribution marked as editable"}
BAD = {"name": "pillow", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.0"]}]}


def test_packages_that_were_not_looked_up_are_not_called_sound() -> None:
    verdict = load_script("audit").verdict
    assert verdict([SKIPPED, OWN]) == (
        "NOT CHECKED: the advisory service cannot be reached; none of 1 packages was looked up.", 0
    )  # fmt: skip
    assert verdict([SOUND, SKIPPED, OWN]) == ("0 vulnerabilities in 1 packages; not looked up: torch.", 0)
    text, status = verdict([SOUND, BAD])
    assert status == 1
    assert text.splitlines() == ["pillow 1.0: PYSEC-1, mended in 2.0", "1 vulnerabilities in 2 packages."]
