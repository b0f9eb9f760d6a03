"""The command ``pledger``.

A command is a function in a module of this package, decorated with
:func:`ledger.cli.group.command` and named like the command (``what_if`` for ``what-if``,
``import_`` for ``import``). To add one, write the module and add a line to the table in
:mod:`ledger.cli.commands`: the table is what ``pledger --help`` prints, and a module is imported
only when its command is invoked, so that the help stays quick.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(part: str | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        part: Offer only the commands of ``runner`` or ``replay``; by default all.
    """
    try:
        from ledger.cli.group import PledgerGroup
    except ImportError as error:
        if error.name not in ("click", "rich"):
            raise
        print(f"error: the command line needs {error.name}", file=sys.stderr)
        print("  try: pip install 'portfolio-ledger[cli]'", file=sys.stderr)
        sys.exit(2)
    PledgerGroup(part).main()
