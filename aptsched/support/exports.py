"""Exports of a package, imported at first use: its `__init__` lists them all, and is imported in next to no time."""

from __future__ import annotations

import sys
from importlib import import_module

TYPE_CHECKING = False  # as of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def lazily(package: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """The functions `__getattr__` and `__dir__` of a package (PEP 562).

    Parameters
    ----------
    package : str
        Its `__name__`.
    homes : mapping of str to sequence of str
        For each module the names that the package exports from it; under the package's own name the modules and
        packages that are exports themselves.
    """
    namespace = vars(sys.modules[package])
    home_of = {name: home for home, names in homes.items() for name in names}

    def resolve(name: str) -> object:
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        export = import_module(f"{package}.{name}") if home == package else getattr(import_module(home), name)
        namespace[name] = export
        return export

    def names() -> list[str]:
        return sorted({*namespace, *home_of})

    return resolve, names
