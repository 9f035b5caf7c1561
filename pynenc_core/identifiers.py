"""Names of things: sortable unique ids, task ids and runner ids."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case: sorts as it counts, nothing looks alike
_PAIRS = tuple(high + low for high in _ALPHABET for low in _ALPHABET)  # ten bits at a time halves the work of spelling a number
_RANDOM_BITS = 82
_TAIL_MASK = (1 << _RANDOM_BITS) - 1
_LOW_BITS = 20
_LOW_MASK = (1 << _LOW_BITS) - 1
_LAST_MILLISECOND = (1 << 48) - 1  # in the year 10889


def _spell(number: int, pairs: int) -> str:
    return "".join([_PAIRS[(number >> shift) & 1023] for shift in range(10 * (pairs - 1), -1, -10)])


class SortableIds:
    """Makes ids of 26 characters that sort by the time they were made, also within a millisecond of one process.

    The first 48 bits are milliseconds since 1970; the other 82 start at random in each millisecond and count upwards in it.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._millisecond = -1
        self._number = 0
        self._head = ""
        """The number as it is spelt, without its last four characters: it lasts for many ids."""

    def new(self) -> str:
        """Return the next id; never one that was returned before."""
        with self._lock:
            now = int(self._clock() * 1000)
            same = now <= self._millisecond
            if same:
                self._number += 1
            else:
                self._millisecond = now
                # The top bit starts at zero, so that counting upwards cannot overflow within a millisecond.
                self._number = (now << _RANDOM_BITS) | (int.from_bytes(os.urandom(11), "big") & (_TAIL_MASK >> 1))
            low = self._number & _LOW_MASK
            if not same or not low:
                self._head = _spell(self._number >> _LOW_BITS, 11)
            return self._head + _PAIRS[low >> 10] + _PAIRS[low & 1023]

    def forget_after_fork(self) -> None:
        """Start a new random tail, so that a forked child does not count on where its parent does."""
        self._lock = threading.Lock()
        self._millisecond = -1


_ids = SortableIds()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.forget_after_fork)

new_id = _ids.new


def first_id_at(seconds: float) -> str:
    """Return the smallest id that can be made in the millisecond of an instant, given in seconds since 1970.

    Ids made before that millisecond sort below it, all others do not. An instant outside of what ids can name (before
    1970, after 10888) counts as the nearest that they can.
    """
    milliseconds = int(min(max(seconds, 0.0) * 1000, float(_LAST_MILLISECOND)))
    return _spell(milliseconds << _RANDOM_BITS, 13)


def new_runner_id(class_name: str) -> str:
    """Return the id of one runner start: class, host, pid and a nonce, so that a reused pid is a different runner."""
    return f"{class_name}@{socket.gethostname()}-{os.getpid()}-{new_id()[-10:]}"


def external_runner_id() -> str:
    """Return the id under which a process outside any runner registers invocations; it owns nothing, so it may repeat."""
    return f"ExternalRunner@{socket.gethostname()}-{os.getpid()}"


def task_id(module: str, qualified_name: str) -> str:
    """Return the id of a task: its module and qualified name, as `module.qualified_name`."""
    return f"{module}.{qualified_name}"


def call_id(task: str, arguments_hash: str) -> str:
    """Return the id of a call: its task and the content hash of its encoded arguments."""
    return f"{task}#{arguments_hash}"
