from tests.cli.conftest import trainings  # noqa: F401 - a fixture
