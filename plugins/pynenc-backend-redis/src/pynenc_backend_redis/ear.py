"""What a process hears: that there may be work, and what became final. One connection and one thread for all who wait."""

from __future__ import annotations

import os
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol
from weakref import WeakSet

from redis import exceptions as redis

from pynenc_backend_redis.keys import PREFIXES
from pynenc_backend_redis.link import Link
from pynenc_backend_redis.troubles import translated
from pynenc_backend_redis.wires import Wire, end_reading, send
from pynenc_core.errors.backends import BackendError
from pynenc_core.redaction import redact_text

PING_AFTER = 4.0
"""Seconds of silence after which the server is asked for a sign of life; as many later, without one, the connection is made anew."""
_AGAIN = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds between tries to connect anew; the last one is repeated."""
_AT_ONCE = 500


class Listener(Protocol):
    """Somebody who wants to know what became final."""

    def tell(self, invocation_id: str) -> None:
        """Learn, with the ear's lock held, that an invocation is final or gone."""
        ...

    def end(self) -> None:
        """Learn, with the ear's lock held, that nothing will be told any more."""
        ...


class Ear:
    """One process's channel, and who waits in this process."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._begin_anew()
        _ears.add(self)

    def _begin_anew(self) -> None:
        self.name = secrets.token_hex(6)
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.news = 0
        """How often this process was told that there may be work."""
        self.waits_for: set[str] = set()
        """The queues of which the server knows that this process waits for them."""
        self.waiting = 0
        """How many threads wait for work."""
        self.woken = False
        self.listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._opening = threading.Lock()
        self._connection: Wire | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def forget(self) -> None:
        """Start anew: in a forked child the connection and those who wait are the parent's."""
        if self._connection is not None:
            self._connection.disconnect()
        self._begin_anew()

    @property
    def open(self) -> bool:
        """Whether it listens."""
        return self._connection is not None

    def listen(self) -> None:
        """Begin to listen, unless it does. Raises BackendUnavailableError."""
        if self._connection is not None:
            return
        with self._opening:
            if self.open:  # by now
                return
            try:
                connection = self._subscribed()
            except (redis.RedisError, OSError) as error:
                raise translated(error, self._link.place.server) from error
            self._stop = stop = threading.Event()
            self._connection = connection
            self._thread = threading.Thread(target=self._listen, args=(connection, stop), name="pynenc-redis-ear", daemon=True)
            self._thread.start()

    def wait(self, ready: Callable[[], bool], timeout: float) -> bool:
        """Wait for news as a thread that could use it; return whether `wake` ended that."""
        with self.changed:
            self.waiting += 1
            try:
                self.changed.wait_for(lambda: self.woken or ready(), timeout)
            finally:
                self.waiting -= 1
            woken = self.woken
            self.woken = woken and self.waiting > 0
            return woken

    def wake(self) -> None:
        """Let all who wait for work return; the next one who would wait as well, if nobody does."""
        with self.changed:
            self.woken = True
            self.changed.notify_all()

    def close(self) -> None:
        """Stop listening, and end every watch; who waits again begins anew."""
        with self._opening:
            connection, self._connection = self._connection, None
            thread, self._thread = self._thread, None
            self._stop.set()
            if connection is not None:
                end_reading(connection)  # its thread, which alone may close it, comes back from reading
        with self.changed:
            self.name = secrets.token_hex(6)
            self.waits_for.clear()
            self.end(each for each in tuple(self.listeners.values()))
            self.listeners.clear()
            self.changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1.0)

    @staticmethod
    def end(groups: Iterable[Collection[Listener]]) -> None:
        """Tell listeners that nothing will be told any more."""
        for group in groups:
            for listener in tuple(group):
                listener.end()

    def tell(self, invocation_ids: Iterable[str]) -> None:
        """Tell those of this process who watch some invocations, with the lock held."""
        for invocation_id in invocation_ids:
            for listener in self.listeners.pop(invocation_id, ()):
                listener.tell(invocation_id)

    def _subscribed(self) -> Wire:
        connection = self._link.connect()
        with _dropped_on_failure(connection):
            send(connection, ("SUBSCRIBE", f"{self._link.prefix}{PREFIXES['EAR']}{self.name}"))
            connection.read_response()
        return connection

    def _listen(self, connection: Wire, stop: threading.Event) -> None:
        at: Wire | None = connection
        while at is not None:
            problem = ""
            try:
                self._hear_all(at, stop)
            except (redis.RedisError, OSError) as error:
                problem = redact_text(f"{error}")
            at.disconnect()
            if stop.is_set():
                return
            place = self._link.place.server
            self._link.app.logger.warning("the notifications of %s are lost (%s); connecting anew", place, problem)
            at = self._connected_anew(stop)

    def _hear_all(self, connection: Wire, stop: threading.Event) -> None:
        asked = False
        while not stop.is_set():
            if connection.can_read(timeout=PING_AFTER):
                asked = False
                try:
                    reply: Sequence[bytes] = connection.read_response()
                except redis.ResponseError:  # to our PING, which this user may not send: a sign of life as well
                    continue
                if reply[0] == b"message":
                    self._hear(reply[2])
            elif asked:
                raise redis.TimeoutError("no sign of life")
            else:
                send(connection, ("PING",))
                asked = True

    def _hear(self, message: bytes) -> None:
        kind, *names = message.decode().split("\0")
        idle: list[str] = []
        with self.changed:
            if kind == "w":
                self.news += 1
                self.waits_for.difference_update(names)
                idle = [] if self.waiting else names
                self.changed.notify_all()
            else:
                self.tell(names)
        for queue in idle:  # nobody here waits for it at this moment: another process may
            with suppress(BackendError):
                self._link.run("pass_on", queue)

    def _connected_anew(self, stop: threading.Event) -> Wire | None:
        tries = 0
        while not stop.wait(_AGAIN[min(tries, len(_AGAIN) - 1)]):
            tries += 1
            try:
                connection = self._subscribed()
            except (redis.RedisError, OSError, BackendError):
                continue
            with self._opening:
                if stop.is_set():
                    connection.disconnect()
                    return None
                self._connection = connection
            with suppress(BackendError):  # it fails again at once, then, and is tried again
                self._look()
            self._link.app.logger.info("the notifications of %s are back", self._link.place.server)
            return connection
        return None

    def _look(self) -> None:
        """Find what was told while nobody heard it."""
        with self.changed:
            watched = list(self.listeners)
            self.waits_for.clear()
            self.news += 1
            self.changed.notify_all()
        for start in range(0, len(watched), _AT_ONCE):
            over = self._link.run("watch", self.name, *watched[start : start + _AT_ONCE])
            with self.changed:
                self.tell(each.decode() for each in over)


@contextmanager
def _dropped_on_failure(connection: Wire) -> Generator[None]:
    try:
        yield
    except BaseException:
        connection.disconnect()
        raise


_ears: WeakSet[Ear] = WeakSet()


def _forget_all() -> None:
    for ear in tuple(_ears):
        ear.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
