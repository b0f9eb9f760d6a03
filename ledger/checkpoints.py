"""Checkpoints: how far a reader has durably come, kept where the reader chooses."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Protocol

from ledger.errors import InvalidInput
from ledger.keys import Keys
from ledger.store import Connection

__all__ = ["Checkpoint", "FileCheckpoint", "StoreCheckpoint"]


class Checkpoint(Protocol):
    """Keeps one sequence number. A database of your own can be one.

    Both calls may block; an async reader makes them in a thread.
    """

    def load(self) -> int:
        """Return what was saved last; 0 where nothing was."""

    def save(self, seq: int) -> None:
        """Keep a sequence number; it is durable when this returns."""


class FileCheckpoint:
    """A checkpoint in a file of its own, replaced in one step and synced to disk.

    Args:
        path: The file; it need not exist, its directory must.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)

    def load(self) -> int:
        """Return what was saved last; 0 where there is no file.

        Raises:
            InvalidInput: The file holds something else.
        """
        with contextlib.suppress(FileNotFoundError):
            text = self._path.read_text("utf-8", errors="replace").strip()
            if not (text.isascii() and text.isdigit()):
                raise InvalidInput(
                    f"checkpoint: {self._path} holds {text!r:.40}, not a sequence number",
                    hint="name another file, or remove it to begin at the start",
                )
            return int(text)
        return 0

    def save(self, seq: int) -> None:
        """Keep a sequence number; after a crash the file has it, or what it had before.

        Raises:
            OSError: The file cannot be written.
        """
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}.new")
        with fresh.open("w") as file:
            file.write(f"{seq}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class StoreCheckpoint:
    """A checkpoint beside the events, under a name; as durable as they are.

    Made by ``ledger.checkpoint(name)``; may be shared by threads. A name is for one reader.
    """

    def __init__(self, keys: Keys, name: str, connection: Connection) -> None:
        self._key = keys.base + "checkpoints"
        self._name = name
        self._connection = connection

    def load(self) -> int:
        """Return what was saved last; 0 where nothing was.

        Raises:
            StoreError: The store is away or refuses.
        """
        (seq,) = self._connection.exchange([("HGET", self._key, self._name)])
        return int(seq or 0)

    def save(self, seq: int) -> None:
        """Keep a sequence number.

        Raises:
            StoreError: The store is away or refuses.
        """
        self._connection.exchange([("HSET", self._key, self._name, seq)])
