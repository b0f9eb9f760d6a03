"""Conditions over a state, such as ``equity < 99000 and positions.AAPL.quantity != 0``.

The text is parsed by Python's grammar and then built anew from a short list of what is allowed:
paths of figures, decimal numbers, quoted texts, ``+ - * /``, comparisons, ``and``, ``or``, ``not``,
and the functions ``abs``, ``min``, ``max`` and ``len``. Nothing of it is ever executed as Python.

All arithmetic is exact; a division rounds as :func:`ledger.quotient` does. What a state does not
have (a symbol not seen yet, a total without its rate) is nothing: a sum with nothing in it is
nothing, and a comparison with it does not hold, whichever way round it is.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

from ledger import (
    Event,
    InvalidAmount,
    InvalidInput,
    LedgerDamaged,
    MissingRate,
    PortfolioState,
    add,
    amount,
    multiply,
    quotient,
    subtract,
)
from replay.held_paths import HELD, hold_paths
from replay.paths import COLLECTIONS, FigurePath, parse_path

__all__ = ["Expression", "parse_expression"]

_Read: TypeAlias = Callable[[PortfolioState], Any]

_HINT: Final = "write a condition such as equity < 99000 or positions.AAPL.quantity == 0"

_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: add,
    ast.Sub: subtract,
    ast.Mult: multiply,
    ast.Div: quotient,
}
_COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {"abs": Decimal.copy_abs, "min": min, "max": max}

_WITH_RESERVES: Final = ("available", "available_balance", "reserved")


class Expression(NamedTuple):
    """A condition that was read.

    Attributes:
        text: As it was written.
        paths: The figures it asks for.
        told: The texts of those paths that some state has had since it was read.
        evaluate: From a state to its value; ``None`` where it cannot be told.
    """

    text: str
    paths: tuple[FigurePath, ...]
    told: set[str]
    evaluate: _Read

    def holds(self, state: PortfolioState) -> bool:
        """Whether it is true of ``state``."""
        return bool(self.evaluate(state))

    def may_change_by(self, event: Event) -> bool:
        """Whether ``event`` can change its value; in doubt, yes."""
        return any(path.may_change_by(event) for path in self.paths)

    @property
    def is_about_money(self) -> bool:
        """Whether it asks for nothing but totals and balances."""
        return all(path.root in ("total", "balances") for path in self.paths)

    @property
    def asks_reserves(self) -> bool:
        """Whether it asks for what working orders reserve, or for what that leaves available."""
        return any(path.field in _WITH_RESERVES for path in self.paths)


def parse_expression(text: str, symbols: Collection[str] = ()) -> Expression:
    """Read an expression over the figures of a state.

    Args:
        text: Such as ``equity < 99000``.
        symbols: The symbols there are.

    Raises:
        InvalidInput: It is no expression, or uses something that is not allowed; says where.
        NotFound: There is no figure of that name; the hint names the nearest ones.
    """
    if len(text) > 4_000:
        raise InvalidInput("the expression has more than 4,000 characters", hint=_HINT)
    builder = _Builder(text, symbols)
    evaluate = builder.built()
    if not builder.paths:
        raise InvalidInput(f"{text!r} asks for no figure", hint=_HINT)
    return Expression(text, tuple(builder.paths), builder.told, evaluate)


class _Builder:
    """Turns the syntax tree into functions of a state, refusing what is not on the list."""

    def __init__(self, text: str, symbols: Collection[str]) -> None:
        self._text = text
        self._symbols = symbols
        self._held: list[str] = []
        self.paths: list[FigurePath] = []
        self.told: set[str] = set()

    def built(self) -> _Read:
        source, self._held = hold_paths(self._text.strip())
        try:
            tree = ast.parse(source, mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else error  # no "<unknown>, line"
            raise InvalidInput(
                f"{self._text!r} is not an expression: {reason}", hint=_HINT
            ) from None
        self._source = source
        return self._read(tree.body)

    def _read(self, node: ast.expr) -> _Read:
        builder = getattr(self, f"_{type(node).__name__.lower()}", None)
        if builder is None:
            raise self._refused(node, "is not allowed here")
        read: _Read = builder(node)
        return read

    def _refused(self, node: ast.expr, why: str) -> InvalidInput:
        part = ast.get_source_segment(self._source, node) or self._text
        for number, path in enumerate(self._held):
            part = part.replace(f"{HELD}{number}", path)
        return InvalidInput(f"{part!r:.80} {why}", hint=_HINT)

    def _constant(self, node: ast.Constant) -> _Read:
        value: Any = node.value
        if isinstance(value, int | float) and not isinstance(value, bool):
            # The digits as they were written: a float has fewer than a decimal may have.
            written = ast.get_source_segment(self._source, node) or str(value)
            try:
                value = amount(written.replace("_", ""), "number")
            except InvalidAmount as error:
                raise self._refused(node, "is not a decimal number") from error
        elif not isinstance(value, str | bool):
            raise self._refused(node, "is not allowed here")
        return lambda _state: value

    def _name(self, node: ast.Name) -> _Read:
        if node.id.startswith(HELD) and node.id[len(HELD) :].isdecimal():
            number = int(node.id[len(HELD) :])
            if number < len(self._held):
                return self._figure(self._held[number])
        return self._figure(node.id)

    def _attribute(self, node: ast.Attribute) -> _Read:
        return self._figure(self._dotted(node))

    def _subscript(self, node: ast.Subscript) -> _Read:
        return self._figure(self._dotted(node))

    def _dotted(self, node: ast.expr) -> str:
        """Write ``positions["KRW-BTC"].quantity`` as a path."""
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Attribute):
            return f"{self._dotted(node.value)}.{node.attr}"
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            return f"{self._dotted(node.value)}.{node.slice.value!s}"
        raise self._refused(node, "is not the path of a figure")

    def _figure(self, text: str) -> _Read:
        path = parse_path(text, self._symbols)
        self.paths.append(path)
        told = self.told
        read: _Read = operator.attrgetter(path.field) if path.root == "total" else path.read

        def figure(state: PortfolioState) -> Any:
            try:
                value = read(state)
            except (MissingRate, LedgerDamaged):
                return None  # it cannot be told, so no condition on it holds
            if value is None:
                return None
            if text not in told:
                told.add(text)
            return Decimal(value) if value.__class__ is int else value

        return figure

    def _unaryop(self, node: ast.UnaryOp) -> _Read:
        inner = self._read(node.operand)
        if isinstance(node.op, ast.Not):
            return lambda state: not inner(state)
        if isinstance(node.op, ast.USub):
            return self._lifted(node, lambda value: subtract(Decimal(0), value), [inner])
        raise self._refused(node, "is not allowed here")

    def _binop(self, node: ast.BinOp) -> _Read:
        compute = _ARITHMETIC.get(type(node.op))
        if compute is None:
            raise self._refused(node, "uses an operator other than + - * /")
        return self._lifted(node, compute, [self._read(node.left), self._read(node.right)])

    def _call(self, node: ast.Call) -> _Read:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "len" and len(node.args) == 1 and not node.keywords:
            return self._length(node.args[0])
        compute = _FUNCTIONS.get(name)
        wrong = (len(node.args) != 1) if name == "abs" else len(node.args) < 2
        if compute is None or wrong or node.keywords:
            raise self._refused(node, "is none of abs(x), min(x, y), max(x, y), len(positions)")
        return self._lifted(node, compute, [self._read(argument) for argument in node.args])

    def _length(self, node: ast.expr) -> _Read:
        if not isinstance(node, ast.Name) or node.id not in COLLECTIONS:
            raise self._refused(node, f"cannot be counted; {', '.join(COLLECTIONS)} can")
        name = node.id
        self.paths.append(FigurePath(f"len({name})", "seq", "seq"))
        return lambda state: Decimal(len(getattr(state, name)))

    def _lifted(self, node: ast.expr, compute: Callable[..., Any], parts: list[_Read]) -> _Read:
        """Compute with numbers; nothing where a part is nothing or a divisor is zero."""

        def value(state: PortfolioState) -> Any:
            numbers = [part(state) for part in parts]
            if any(number is None for number in numbers):
                return None
            if compute is quotient and not numbers[1]:
                return None
            if not all(isinstance(number, Decimal) for number in numbers):
                raise self._refused(node, "computes with something that is not a number")
            return compute(*numbers)

        return value

    def _compare(self, node: ast.Compare) -> _Read:
        parts = [self._read(part) for part in (node.left, *node.comparators)]
        tests = [_COMPARISONS.get(type(op)) for op in node.ops]
        if None in tests:
            raise self._refused(node, "uses a comparison other than < <= > >= == !=")
        if len(tests) == 1:
            return self._compare_two(node, tests[0], *parts)
        pairs = [(test, *pair) for test, pair in zip(tests, pairwise(parts), strict=True)]

        def holds(state: PortfolioState) -> bool:
            for test, left, right in pairs:
                a, b = left(state), right(state)
                if a is None or b is None or not self._compared(node, test, a, b):
                    return False
            return True

        return holds

    def _compare_two(self, node: ast.expr, test: Any, left: _Read, right: _Read) -> _Read:
        """What nearly every condition is, and what is evaluated after every event."""

        def holds(state: PortfolioState) -> bool:
            a = left(state)
            if a is None or (b := right(state)) is None:
                return False
            return self._compared(node, test, a, b)

        return holds

    def _compared(self, node: ast.expr, test: Any, a: Any, b: Any) -> bool:
        try:
            return bool(test(a, b))
        except TypeError:
            raise self._refused(node, "compares a number with a text") from None

    def _boolop(self, node: ast.BoolOp) -> _Read:
        parts = [self._read(part) for part in node.values]
        if isinstance(node.op, ast.And):
            return lambda state: all(part(state) for part in parts)
        return lambda state: any(part(state) for part in parts)
