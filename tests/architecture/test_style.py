"""The house rules that a linter does not know. Each message says what to do instead."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

MAX_FUNCTION_LINES = 45
MAX_FILE_LINES = 300
MAX_TEST_FILE_LINES = 500

# Where a banned thing is the purpose of the module, by the beginning of its path.
READS_CLOCK = ("ledger/clock.py", "runner/clock.py")
PRINTS = ("ledger/cli/", "runner/cli", "replay/cli")
MEETS_ANY_ERROR = ("ledger/cli/",)  # the last boundary: an unexpected error becomes exit code 1

CLOCK_READINGS = re.compile(
    r"(?:^|\.)(?:datetime\.(?:now|utcnow|today)|date\.today|time\.(?:time|time_ns|localtime|gmtime))$"
)
MONEY = re.compile(
    r"amount|balance|bid|ask\b|cash|cost|equity|fee|funding|notional|pnl|price|quantity|_value",
    re.IGNORECASE,
)

# The glossary of the project: a word that says nothing, or that another word already says.
WORDS = {
    "bookmark": "checkpoint",
    "common": "what it has in common",
    "data": "what the data are: events, rows, payload, raw",
    "envelope": "Recorded",
    "helper": "what it does",
    "helpers": "what they do",
    "info": "what it tells",
    "legacy": "upcast, or the schema number",
    "manager": "what it does",
    "migrate": "upcast",
    "obj": "what it is",
    "poison": "parked",
    "ts": "occurred_at or recorded_at",
    "util": "what it does",
    "utils": "what they do",
    "wrapper": "Recorded, or what it adds",
}
# Names that callers already use, and fields of classes that mirror what stands on a wire.
FIXED_NAMES = {"MarketDataProvider", "data_source"}
WIRE_FIELDS = {"data"}


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Yield each call of a plain name with that name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node, node.func.id


def public(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the public functions and classes of a module, and the public methods of the latter."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If | ast.Try):
            yield from public(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("_") or is_stated_elsewhere(node):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from public(node)


def is_stated_elsewhere(node: ast.AST) -> bool:
    """Whether this is an overload or a setter: its documentation stands on another definition."""
    decorators = [ast.unparse(d) for d in getattr(node, "decorator_list", [])]
    return any(d.endswith(("overload", ".setter", ".deleter")) for d in decorators)


def test_functions_are_short(modules):
    found = [
        f"{module.at(node)}: {node.name} has {size} lines; at most {MAX_FUNCTION_LINES}: "
        f"give a step of it a name of its own"
        for module in modules
        for node in functions(module.tree)
        if (size := node.end_lineno - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert not found, "\n".join(found)


def test_files_are_short(modules, suite):
    found = [
        f"{module.path}: {module.line_count} lines; at most {limit}: one concern per file"
        for group, limit in ((modules, MAX_FILE_LINES), (suite, MAX_TEST_FILE_LINES))
        for module in group
        if module.line_count > limit
    ]
    assert not found, "\n".join(found)


def test_everything_public_is_documented(modules):
    found = [
        f"{module.at(node)}: {node.name} has no docstring; say what a caller may rely on"
        for module in modules
        for node in public(module.tree)
        if not ast.get_docstring(node)
    ]
    found += [
        f"{module.path}: no docstring; say in a sentence what the module is for"
        for module in modules
        if module.tree.body and not ast.get_docstring(module.tree)
    ]
    assert not found, "\n".join(found)


def test_no_float_touches_money(modules):
    found = [
        f"{module.at(node)}: {ast.unparse(node)}; amounts are read with ledger.amounts.amount"
        for module in modules
        for node, name in calls(module.tree)
        if name == "float" and (module.package == "ledger" or MONEY.search(ast.unparse(node.args)))
    ]
    assert not found, "\n".join(found)


def test_only_the_clock_reads_the_time(modules):
    found = [
        f"{module.at(node)}: {ast.unparse(node)}; take the moment as an argument, or a clock"
        for module in modules
        if not module.path.startswith(READS_CLOCK)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and CLOCK_READINGS.search(ast.unparse(node))
    ]
    found += [
        f"{module.at(node)}: from time import {alias.name}; take the moment as an argument"
        for module in modules
        if not module.path.startswith(READS_CLOCK)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module == "time"
        for alias in node.names
        if CLOCK_READINGS.search(f"time.{alias.name}")
    ]
    assert not found, "\n".join(found)


def test_no_text_is_run_as_code(modules):
    found = [
        f"{module.at(node)}: {name}(...); parse the text with ast and walk what is allowed"
        for module in modules
        for node, name in calls(module.tree)
        if name in {"eval", "exec"}
    ]
    assert not found, "\n".join(found)


def test_errors_are_caught_by_name(modules):
    found = [
        f"{module.at(node)}: catches everything; name the errors that can be met here, and let "
        f"the others rise (a handler that only cleans up ends with `raise`)"
        for module in modules
        if not module.path.startswith(MEETS_ANY_ERROR)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert not found, "\n".join(found)


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Whether a handler could swallow any error: it is broad, and does not end by raising it."""
    last = handler.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(kind) in {"Exception", "BaseException"} for kind in caught)


def test_only_commands_print(modules):
    found = [
        f"{module.at(node)}: print(...); return the text to the command, or log what an operator "
        f"should know"
        for module in modules
        if not module.path.startswith(PRINTS)
        for node, name in calls(module.tree)
        if name == "print"
    ]
    assert not found, "\n".join(found)


def test_names_keep_to_the_glossary(modules):
    found = [
        f"{module.path}:{line}: {name}: not {word!r}; say {WORDS[word]}"
        for module in modules
        for line, name in named(module)
        for word in words_of(name)
        if word in WORDS and name not in FIXED_NAMES
    ]
    assert not found, "\n".join(sorted(set(found)))


def named(module) -> Iterator[tuple[int, str]]:
    """Yield each name that a module gives: itself, definitions, arguments, variables, fields."""
    yield 1, module.path.removesuffix(".py").rpartition("/")[2]
    on_a_wire = {
        statement.target
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) in WIRE_FIELDS
    }
    for node in ast.walk(module.tree):
        if node in on_a_wire:
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield 1, node.asname


def words_of(name: str) -> list[str]:
    """Split a name at its underscores and humps, in lower case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", name).lower().split()


def test_words_are_found_in_every_spelling():
    """The rule above sees what it should."""
    assert words_of("OrderManager") == ["order", "manager"]
    assert words_of("_server_info") == ["server", "info"]
    assert words_of("database") == ["database"]
