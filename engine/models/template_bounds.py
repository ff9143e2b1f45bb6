"""A Jinja environment with bounds on a template's steps and on the texts it makes, so that every template ends soon."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from jinja2 import nodes
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from aptsched.support.errors import InputError

MAX_STEPS = 1_000_000  # passes of loops, calls and filters
MAX_LENGTH = 2**24  # most characters or items of anything that a template makes
MAX_BITS = 2**16  # most bits of a whole number
ITEMS_OF_A_STEP = 256  # each so many items of a result cost one more step
PASSES, MADE = "passes of a loop", "made text"  # filters that no template can name
WIDTHS = ("center", "expandtabs", "indent", "ljust", "rjust", "zfill")  # their argument is a number of characters


class BoundedEnvironment(ImmutableSandboxedEnvironment):
    """Counts the steps of what it renders; one environment renders one template once.

    Parameters
    ----------
    filters : mapping of str to callable
        Added to those of jinja2, or replacing them.
    options
        As jinja2's Environment takes them.

    Raises
    ------
    InputError
        Raised while rendering: more than MAX_STEPS steps, or something longer than MAX_LENGTH.
    """

    intercepted_binops = frozenset(("+", "*", "**"))

    def __init__(self, filters: Mapping[str, Callable[..., Any]], **options: Any) -> None:
        super().__init__(**options)
        self._num_left = MAX_STEPS
        self.filters = {name: self._counted(name, each) for name, each in {**self.filters, **filters}.items()}
        self.filters |= {PASSES: functools.partial(_Passes, self), MADE: self.made}

    def made(self, result: Any) -> Any:
        """Count the steps that a result costs and return it; raises InputError where it is too long."""
        length = len(result) if isinstance(result, (str, list, tuple, dict, range)) else 0
        if length > MAX_LENGTH:
            raise _too_long()
        self.step(1 + length // ITEMS_OF_A_STEP)
        return result

    def step(self, count: int = 1) -> None:
        """Count steps; raises InputError beyond MAX_STEPS."""
        self._num_left -= count
        if self._num_left < 0:
            raise InputError(
                f"chat_template: it does not end within {MAX_STEPS} loop passes and calls; one that does is"
            )

    def call(self, context: Context, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, method or macro for a template."""
        _check_width(getattr(function, "__name__", ""), args, kwargs)
        if isinstance(function, LoopContext):  # a recursive loop runs over what it is called with
            args = (*(_Passes(self, items) for items in args[:1]), *args[1:])
        return self.made(super().call(context, function, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Add, multiply or take a power for a template."""
        if operator == "*":
            _check_product(left, right)
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _check_bits(left.bit_length() * right)
        return self.made(super().call_binop(context, operator, left, right))

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            _check_width(name, args, kwargs)
            return self.made(function(*args, **kwargs))

        return counted

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        return super()._generate(_Bounding().visit(source), *args, **kwargs)


class _Bounding(NodeTransformer):
    """Inserts counting filters where a template loops, joins texts or stores the output of a block."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # the name is jinja2's
        self.generic_visit(node)
        node.iter = _filtered(node.iter, PASSES)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, MADE)

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:
        self.generic_visit(node)
        node.filter = _filtered(node.filter, MADE)
        return node


class _Passes:
    """The items of a loop, of which each costs a step; it has the same length."""

    def __init__(self, environment: BoundedEnvironment, items: Iterable[Any]) -> None:
        self._environment, self._items = environment, items

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            self._environment.step()
            yield item

    def __len__(self) -> int:
        return len(self._items)  # type: ignore[arg-type]  # a TypeError, as of the items themselves


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=1 if node is None else node.lineno)


def _check_width(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    if name in WIDTHS and any(isinstance(value, int) and value > MAX_LENGTH for value in (*args, *kwargs.values())):
        raise _too_long()


def _check_product(left: Any, right: Any) -> None:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())
    for items, times in ((left, right), (right, left)):
        if isinstance(items, (str, list, tuple)) and isinstance(times, int) and len(items) * times > MAX_LENGTH:
            raise _too_long()


def _check_bits(num_bits: int) -> None:
    if num_bits > MAX_BITS:
        raise InputError(f"chat_template: it makes a number of {num_bits} bits; up to {MAX_BITS} are accepted")


def _too_long() -> InputError:
    return InputError(
        f"chat_template: it makes something longer than {MAX_LENGTH} characters or items; shorter is accepted"
    )
