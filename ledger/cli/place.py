"""How far a tail has come, kept in a file."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ledger.errors import InvalidInput

__all__ = ["Place"]


class _Kept(msgspec.Struct, forbid_unknown_fields=True):
    portfolio: str
    seq: int


class Place:
    """A file with the sequence number up to which everything was written out.

    Args:
        file: Its path; it need not be there yet.
        portfolio: Whose numbers it holds.
    """

    def __init__(self, file: Path, portfolio: str) -> None:
        self._file = file
        self._portfolio = portfolio
        self._saved: int | None = None

    def read(self, otherwise: int | None) -> int | None:
        """Return the number in the file, or ``otherwise`` where there is no file yet.

        Raises:
            InvalidInput: It is not such a file, or is of another portfolio.
        """
        try:
            kept = msgspec.json.decode(self._file.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return otherwise
        except (OSError, msgspec.MsgspecError) as error:
            raise InvalidInput(
                f"--cursor-file: {self._file} cannot be read: {error}",
                hint="name a file that pledger tail has written, or a new one",
            ) from None
        if kept.portfolio != self._portfolio or kept.seq < 0:
            raise InvalidInput(
                f"--cursor-file: {self._file} is of portfolio {kept.portfolio!r:.80}, "
                f"not of {self._portfolio!r}",
                hint="keep one file per portfolio",
            )
        self._saved = kept.seq
        return kept.seq

    def write(self, seq: int) -> None:
        """Replace the file, so that it is always whole.

        Raises:
            InvalidInput: It cannot be written.
        """
        if seq == self._saved:
            return
        beside = self._file.with_name(f"{self._file.name}.{os.getpid()}.new")
        kept = msgspec.json.encode(_Kept(self._portfolio, seq))
        try:
            with beside.open("wb") as opened:
                opened.write(kept + b"\n")
                opened.flush()
                os.fsync(opened.fileno())
            beside.replace(self._file)
        except OSError as error:
            raise InvalidInput(
                f"--cursor-file: {self._file} cannot be written: {error}",
                hint="name a file in a directory that this user may write",
            ) from None
        self._saved = seq
