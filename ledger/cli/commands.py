"""The table of commands: adding a line adds a command."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["COMMANDS", "Entry", "attribute_of", "variable_of"]


class Entry(NamedTuple):
    """Where a command is, and its line in the help.

    Attributes:
        module: The module that defines it, imported when it is invoked.
        help: What it does, in a few words.
        part: ``runner`` or ``replay`` where ``python -m runner`` or ``python -m replay`` offers it
            as well; else ``ledger``.
    """

    module: str
    help: str
    part: str = "ledger"


COMMANDS: Final = {
    "demo": Entry("ledger.cli.demo", "Run the main job on real prices, and prove it."),
    "run": Entry("ledger.cli.run", "Run a paper session over recorded prices.", "runner"),
    "doctor": Entry("ledger.cli.doctor", "Check the store for what would lose events."),
    "server": Entry("ledger.cli.server", "Run the embedded store in the foreground."),
    "append": Entry("ledger.cli.append", "Append events from stdin as one commit."),
    "sessions": Entry("ledger.cli.sessions", "List every session with its result.", "replay"),
    "state": Entry("ledger.cli.state", "Show the portfolio as of a moment.", "replay"),
    "events": Entry("ledger.cli.events", "List events, or a range of them.", "replay"),
    "diff": Entry("ledger.cli.diff", "Show what changed between two moments, and why.", "replay"),
    "explain": Entry("ledger.cli.explain", "Show the events that made one figure.", "replay"),
    "find": Entry("ledger.cli.explain", "Find when a condition became true.", "replay"),
    "pnl": Entry("ledger.cli.results", "Show what was earned, by symbol or period.", "replay"),
    "trades": Entry("ledger.cli.results", "List round trips.", "replay"),
    "orders": Entry("ledger.cli.results", "List orders, each with its life.", "replay"),
    "what-if": Entry("ledger.cli.diff", "Fold anew with something changed.", "replay"),
    "tail": Entry("ledger.cli.tail", "Stream events, and follow as they come."),
    "groups": Entry("ledger.cli.groups", "List consumer groups, and decide on parked events."),
    "verify": Entry("ledger.cli.verify", "Prove the log and every figure from nothing.", "replay"),
    "snapshot": Entry("ledger.cli.snapshot", "Take a snapshot, which makes reading quicker."),
    "play": Entry("ledger.cli.play", "Play a session in the terminal.", "replay"),
    "report": Entry("ledger.cli.report", "Write a session into one HTML file.", "replay"),
    "export": Entry("ledger.cli.export", "Write every event into one file.", "replay"),
    "import": Entry("ledger.cli.import_", "Take an export into an empty portfolio."),
}


def attribute_of(name: str) -> str:
    """Return the name under which a command's module defines it."""
    return {"import": "import_"}.get(name, name.replace("-", "_"))


def variable_of(name: str) -> str:
    """Return the environment variable of a global flag."""
    return f"PLEDGER_{name.upper()}"
