"""One invocation of a command: what it was told, where it answers, which ledger it asks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ledger.cli.screen import Screen
from ledger.cli.settings import Settings
from ledger.sync_face import SyncLedger

__all__ = ["Call"]


class Call:
    """What a command is called with.

    Attributes:
        settings: From flags, variables, ``pledger.toml`` and defaults.
        screen: Where it answers, in the form that was asked for.

    Raises:
        InvalidInput: A setting is not valid.
        click.UsageError: The command has no such form.
    """

    def __init__(self, given: Mapping[str, Any], forms: Sequence[str]) -> None:
        self.settings = Settings.load(given, os.environ, Path.cwd())
        asked = given.get("output")
        if asked is not None and asked not in forms:
            raise click.UsageError(
                f"-o {asked} is no form of this command; it has {', '.join(forms)}",
                click.get_current_context(),
            )
        # A form from a variable or the file is a wish for the commands that have it.
        wished = asked or self.settings.output
        self.screen = Screen(str(wished) if wished in forms else forms[0], self.settings)

    @contextmanager
    def ledger(self) -> Iterator[SyncLedger]:
        """Open the portfolio that the settings name."""
        settings = self.settings
        self.screen.tell(f"store {settings.store}, portfolio {settings.portfolio}")
        opened = SyncLedger.connect(
            settings.store, portfolio=settings.portfolio, patience=settings.patience
        )
        with opened as ledger:
            yield ledger
