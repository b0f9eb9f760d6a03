"""What is watched: a choice of figures, and their last known values in groups of one kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import attrgetter
from typing import Any, Final, TypeAlias

from replay.paths import FigurePath, Value

__all__ = ["Choice", "Moved", "WatchedFields", "WatchedItems"]

Moved: TypeAlias = dict[str, Value]
"""The figures that an event moved, by their paths, with what they are now; ``None`` for one that
is no longer there, or that cannot be told."""


class Choice:
    """Which figures are watched.

    Args:
        wanted: Their paths, in which a position or order has its symbol; ``None`` for all figures.
    """

    def __init__(self, wanted: Iterable[FigurePath] | None) -> None:
        self.is_all = wanted is None
        self._wanted: dict[tuple[str, str], list[FigurePath]] = {}
        for path in wanted or ():
            self._wanted.setdefault((path.root, path.symbol), []).append(path)
        self._symbols = None if self.is_all else {symbol for _, symbol in self._wanted}

    def has_symbol(self, symbol: str) -> bool:
        """Whether a figure of this symbol, its positions or its orders is watched."""
        return self._symbols is None or symbol in self._symbols

    def fields(self, root: str, known: tuple[str, ...], symbol: str = "") -> tuple[str, ...]:
        """Return those of the ``known`` names of figures that are watched."""
        if self.is_all:
            return known
        fields = {path.field for path in self._wanted.get((root, symbol), ())}
        return tuple(name for name in known if name in fields)

    def keys(self, root: str, symbol: str = "") -> Collection[str] | None:
        """Return the ids or currencies that are watched; ``None`` for all."""
        if self.is_all:
            return None
        return {path.key for path in self._wanted.get((root, symbol), ())}


class WatchedFields:
    """Figures that are looked at by their names.

    Args:
        prefix: What their paths begin with.
        maps: The names that stand for a map of figures.
        known: What they are; empty where the first value counts as moved.
    """

    def __init__(self, prefix: str, maps: Collection[str], known: Mapping[str, Any]) -> None:
        self._prefix = prefix
        self._maps = maps
        self.known = dict(known)

    def see(self, name: str, value: Any, moved: Moved) -> None:
        """Note what a figure is now."""
        before = self.known.get(name)
        if value == before:
            return
        path = self._prefix + name
        if name in self._maps:
            self.known[name] = value = dict(value)
            before = before or {}
            for key in {**before, **value}:
                if value.get(key) != before.get(key):
                    moved[f"{path}.{key}"] = value.get(key)
        else:
            self.known[name] = moved[path] = value


class WatchedItems:
    """Balances, positions or orders, each compared as a whole before its figures are.

    Args:
        prefix: What the paths of their figures begin with.
        fields: The names of their figures that are watched; none where no item is.
        keys: The ids or currencies that are watched; ``None`` for all.
        known: The items as they are, by id or currency.
    """

    def __init__(
        self,
        prefix: str,
        fields: tuple[str, ...],
        keys: Collection[str] | None,
        known: Mapping[str, Any],
    ) -> None:
        self._prefix = prefix
        self.fields = fields
        self.known = {key: item for key, item in known.items() if keys is None or key in keys}
        self.is_all = keys is None
        self._keys = keys
        self._read = _reader(fields)
        self._values: dict[str, tuple[Value, ...]] = {}
        self._nothing: Final = (None,) * len(fields)

    def has(self, key: str) -> bool:
        """Whether an item of this id or currency is watched."""
        return self._keys is None or key in self._keys

    def see(self, key: str, item: Any, moved: Moved) -> None:
        """Note what an item is now, ``None`` for one that is not there; it is kept."""
        known = self.known.get(key)
        if item == known:
            return
        before = self._values.pop(key, None) or self._of(known)
        after = self._of(item)
        if item is None:
            del self.known[key]
        else:
            self.known[key], self._values[key] = item, after
        prefix = f"{self._prefix}{key}."
        for name, old, new in zip(self.fields, before, after, strict=True):
            if new != old:
                moved[prefix + name] = new

    def see_all(self, items: Mapping[str, Any], moved: Moved) -> None:
        """Note what all watched items are now."""
        for key in [key for key in self.known if key not in items]:
            self.see(key, None, moved)
        for key, item in items.items():
            if self.has(key):
                self.see(key, item, moved)

    def _of(self, item: Any) -> tuple[Value, ...]:
        return self._nothing if item is None else self._read(item)


def _reader(fields: tuple[str, ...]) -> Callable[[Any], tuple[Value, ...]]:
    """Return what reads all of ``fields`` at once."""
    if len(fields) > 1:
        return attrgetter(*fields)
    return lambda item: tuple(getattr(item, name) for name in fields)
