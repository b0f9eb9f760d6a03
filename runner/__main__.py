"""``python -m runner``: the commands of ``pledger`` that trade."""

from __future__ import annotations

from ledger.cli import main

if __name__ == "__main__":
    main("runner")
