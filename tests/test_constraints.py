"""constraints.txt fixes a version of each package that pyproject.toml names."""

import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY

PHONES = {"executorch", "ai-edge-litert", "litert-torch"}
"""In environments of their own."""


def test_each_package_has_a_version_that_is_asked_for() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    fixed = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in fixed}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    listed = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    asked = {canonicalize_name(each.name): each.specifier for each in map(Requirement, listed)}
    for name in asked.keys() - PHONES - {"flipdetect"}:
        assert asked[name].contains(versions[name]), name
