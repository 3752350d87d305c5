"""What pyproject.toml cannot say: the top-level folder configs/ is installed as flipdetect/configs."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["flipdetect*"]), "flipdetect.configs"],
    package_dir={"flipdetect.configs": "configs"},
)
