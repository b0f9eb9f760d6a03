"""Lock files whose locks end with the process that holds them, and are not left to its children.

A ``flock`` belongs to the open file, which a forked child shares with its parent: as long as the
child has the descriptor open, the lock stays. So a child closes every descriptor of this module
the moment it is forked. A program that is executed inherits none, unless it is handed one.
"""

from __future__ import annotations

import fcntl
import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["close_lock_file", "is_locked", "lock_exclusively", "lock_shared", "open_lock_file"]

# Held across a fork, so that the child knows every descriptor it has to close.
_guard: Final = threading.RLock()
_descriptors: Final[set[int]] = set()


def open_lock_file(path: Path) -> int:
    """Open the file, making it where it is missing, and return its descriptor, not yet locked.

    Raises:
        OSError: The file cannot be opened for writing, or is a symbolic link.
    """
    with _guard:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        _descriptors.add(descriptor)
    return descriptor


def close_lock_file(descriptor: int, *, unlock: bool = True) -> None:
    """Close the descriptor; without ``unlock`` the lock stays with a process that inherited it."""
    with _guard:
        if unlock:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        _descriptors.remove(descriptor)
        os.close(descriptor)


def lock_shared(descriptor: int) -> bool:
    """Lock beside other shared locks, at once; ``False`` where somebody holds it exclusively."""
    return _locked(descriptor, fcntl.LOCK_SH)


def lock_exclusively(descriptor: int) -> bool:
    """Lock alone, at once; ``False`` where anybody else holds it.

    A shared lock held through this descriptor is given up first, whatever the outcome: of several
    holders that try at the same time, the last one succeeds.
    """
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return _locked(descriptor, fcntl.LOCK_EX)


def is_locked(descriptor: int) -> bool:
    """Whether somebody else holds it exclusively; gives up a lock held through this descriptor."""
    if not _locked(descriptor, fcntl.LOCK_SH):
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _close_in_child() -> None:
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()
    _guard.release()


os.register_at_fork(
    before=_guard.acquire, after_in_parent=_guard.release, after_in_child=_close_in_child
)
