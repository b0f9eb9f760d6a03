"""``python -m replay``: the commands of ``pledger`` that look back."""

from __future__ import annotations

from ledger.cli import main

if __name__ == "__main__":
    main("replay")
