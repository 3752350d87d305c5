"""Importing torch and Lightning in less time: without what is not used, and without collecting garbage.

`import torchmetrics` imports every metric, and with them torchvision, torch's compiler and SciPy's signal processing.
Lightning and this program need two base classes of it.
"""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

NAME = "torchmetrics"


@contextmanager
def paused_collection(*, freeze: bool = False) -> Iterator[None]:
    """Collect no garbage while torch is imported: looking through its objects takes a third of the time of the imports.

    Args:
        freeze: never look through what exists then (`gc.freeze`), which takes 0.25 s each time; for a process of our
            own, as in a program that embeds this package it may become garbage later.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        gc.enable()


class _BaseClasses(ModuleType):
    """The package with its base classes; asked for any other name, it becomes the whole package."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if name.startswith("__") or "Metric" not in vars(self) or spec is None or spec.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        return getattr(self, name)


def defer_torchmetrics() -> None:
    """Have the next `import torchmetrics` import its base classes alone; call it before Lightning is imported.

    Nothing is done if the package is imported already, is not installed, or is a release that is built in another way.
    """
    spec = None if NAME in sys.modules else find_spec(NAME)
    if spec is None:
        return
    package = module_from_spec(spec)
    package.__class__ = _BaseClasses
    vars(package)["_logger"] = logging.getLogger(NAME)  # its modules write to it
    sys.modules[NAME] = package
    try:
        # In this order: `utilities` and `metric` import each other.
        about, _, metric, collections = (
            import_module(f"{NAME}.{part}") for part in ("__about__", "utilities", "metric", "collections")
        )
        base = {"Metric": metric.Metric, "MetricCollection": collections.MetricCollection}
        vars(package).update(base, __version__=about.__version__)
    except (ImportError, AttributeError):
        for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
            del sys.modules[name]
