"""Scheduling-optimisation toolkit for LLM serving: which requests form the next batch, in which form of cache."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False  # as of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from aptsched.errors import InfeasibleError, InputError
    from aptsched.greedy import greedy
    from aptsched.problem import BatchProblem
    from aptsched.selection import Multipliers, Selection

    __version__: str

__all__ = ["BatchProblem", "InfeasibleError", "InputError", "Multipliers", "Selection", "greedy"]

_HOME = {
    "BatchProblem": "aptsched.problem",
    "InfeasibleError": "aptsched.errors",
    "InputError": "aptsched.errors",
    "Multipliers": "aptsched.selection",
    "Selection": "aptsched.selection",
    "greedy": "aptsched.greedy",
}


class _Package(ModuleType):
    """The package itself, with exports that are imported at first use: `aptsched --help` has no need of numpy."""

    def __getattr__(self, name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("aptsched")
        if name not in _HOME:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        export = getattr(import_module(_HOME[name]), name)
        setattr(self, name, export)
        return export

    def __setattr__(self, name: str, value: object) -> None:
        # After importing the submodule aptsched.greedy, importlib binds it here under the name of the function.
        if name in _HOME and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
