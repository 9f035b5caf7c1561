"""Wake-up between processes: a datagram from who commits, and every 250 ms a look whether one was lost."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
import tempfile
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from weakref import WeakSet

from pynenc_backend_sqlite import statements as sql
from pynenc_backend_sqlite.database import Database
from pynenc_core.errors.backends import BackendError

LOOK = 0.25
"""Seconds between two looks whether something was committed that nobody told of."""
LINGER = 5.0
"""Seconds for which the listening thread outlives the last wait, since often another follows."""
LONGEST_FOLDER = 87
"""Bytes of the sockets' directory: a whole path may have 107."""
MANY = 8
"""So many datagrams at once mean that the queue, which Linux makes 10 long, may have been full."""
IDS_PER_DATAGRAM = 1000
_WORK = b"\n"  # not empty: that is what a closed socket gives


class Listener(Protocol):
    """Somebody who wants to know what became final."""

    def tell(self, invocation_id: str) -> None:
        """Learn, with the bell's lock held, that an invocation is final or gone."""
        ...


class Doorbell:
    """This process's socket for one app, and who waits in this process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._begin_anew()
        _bells.add(self)

    def forget(self) -> None:
        """Start anew: in a forked child the sockets and those who wait are the parent's."""
        for mine in (self._socket, self._sender):
            if mine is not None:
                mine.close()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.changed = threading.Condition()
        self.news = 0
        """How often this process was told that there may be work."""
        self.waits_for: set[str] = set()
        """The names under which the store knows this process to wait."""
        self.listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self._socket: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._address = ""
        self._thread: threading.Thread | None = None
        self._waiting = 0
        self._last_wait = 0.0

    @property
    def address(self) -> str:
        """The path of the socket, which is made at first need."""
        with self.changed:
            if not self._address:
                self._address = self._bind()
            return self._address

    @contextmanager
    def listening(self) -> Generator[None]:
        """Hold the lock, and have a thread listen for what others tell while this one waits."""
        with self.changed:
            self._waiting += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._listen, name="pynenc-sqlite-doorbell", daemon=True)
                self._thread.start()
            try:
                yield
            finally:
                self._waiting -= 1
                self._last_wait = time.monotonic()

    def ring(self, finals: Mapping[str, Collection[str]], work: Collection[str]) -> None:
        """Tell each process, by its address, what became final, and those to whom there may be work."""
        for address in work:
            self._send(address, _WORK)
        for address, invocation_ids in finals.items():
            ids = list(invocation_ids)
            for start in range(0, len(ids), IDS_PER_DATAGRAM):
                self._send(address, "\n".join(ids[start : start + IDS_PER_DATAGRAM]).encode())

    def close(self) -> None:
        """Stop listening and remove the socket; who waits again begins anew."""
        with self.changed:
            thread, self._thread = self._thread, None
            mine, self._socket, self._sender = (self._socket, self._sender), None, None
            address, self._address = self._address, ""
            self.waits_for.clear()
            self.changed.notify_all()
        for each in mine:
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)  # ends the listening thread's wait
                each.close()
        if address:
            _remove(address, os.getpid())
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=1.0)

    def _send(self, address: str, message: bytes) -> None:
        if address == self._address:
            with self.changed:
                self._hear(message)
            return
        try:
            self._outgoing().sendto(message, address)
        except (ConnectionRefusedError, FileNotFoundError):
            _remove(address, os.getpid())  # its process is gone
        except OSError:
            pass  # its queue is full: it has enough to wake up for, and looks for itself then

    def _outgoing(self) -> socket.socket:
        with self.changed:
            if self._sender is None:
                self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._sender.setblocking(False)
            return self._sender

    def _hear(self, message: bytes) -> None:
        if message == _WORK:
            self.news += 1
            self.waits_for.clear()
        for invocation_id in message.decode().split():
            self.tell(invocation_id)
        self.changed.notify_all()

    def tell(self, invocation_id: str) -> None:
        """Tell those of this process who watch an invocation, with the lock held."""
        for listener in self.listeners.pop(invocation_id, ()):
            listener.tell(invocation_id)

    def _listen(self) -> None:
        """Hear what others tell, and look for oneself where that may not be all, as long as somebody waits."""
        version = None
        while True:
            heard = self._receive()
            with self.changed:
                if self._thread is not threading.current_thread():
                    return
                if not self._waiting and time.monotonic() > self._last_wait + LINGER:
                    self._thread = None
                    return
            if 0 < heard < MANY and version is not None:
                continue
            with contextlib.suppress(BackendError):  # whoever waits meets the same error when it next asks for something
                seen = self._database.version()
                if seen != version:
                    self._look()
                version = seen

    def _receive(self) -> int:
        """Wait for messages and hear all there are; return how many."""
        sock, heard = self._socket, 0
        if sock is None:  # no socket could be made here: all there is are the looks
            with self.changed:
                self.changed.wait(LOOK)
            return 0
        with contextlib.suppress(TimeoutError, BlockingIOError, OSError):
            message = sock.recv(1 << 16)
            while message:
                heard += 1
                with self.changed:
                    self._hear(message)
                message = sock.recv(1 << 16, socket.MSG_DONTWAIT)
        return heard

    def _look(self) -> None:
        """Find what was told to this process by a commit whose datagram did not arrive."""
        address = self._address
        with self.changed:
            watched, waits_for = set(self.listeners), set(self.waits_for)
        if waits_for:
            known = {name for (name,) in self._database.rows(sql.MY_WAITS, address)}
            if waits_for - known:
                with self.changed:
                    self._hear(_WORK)
        untold = watched - {each for (each,) in self._database.rows(sql.MY_WATCHES, address)} if watched else ()
        if untold:  # or about to be watched: only its record says whether it ended
            going_on = {each for (each,) in self._database.rows(sql.NOT_FINAL, sql.as_json(untold))}
            with self.changed:
                for invocation_id in untold - going_on:
                    self.tell(invocation_id)
                self.changed.notify_all()

    def _bind(self) -> str:
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        try:
            folder = _folder(self._database.path)
            address = str(folder / name)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                sock.bind(address)
                sock.settimeout(LOOK)
            except OSError:
                sock.close()
                raise
        except OSError:
            return f"nowhere/{name}"  # only found out by looking
        self._socket = sock
        weakref.finalize(self, _remove, address, os.getpid())
        _sweep(folder)
        return address


def _folder(path: Path) -> Path:
    """Return the directory for sockets: beside the file, or where that is too long a path, a private one elsewhere."""
    folder = path.with_name(f"{path.name}-bells")
    if len(os.fsencode(folder)) > LONGEST_FOLDER:
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"pynenc-{os.getuid()}-{digest}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(str(folder))
    return folder


def _sweep(folder: Path) -> None:
    """Remove the sockets of processes that are gone."""
    for path in folder.iterdir():
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
                probe.connect(str(path))
        except ConnectionRefusedError:
            _remove(str(path), os.getpid())
        except OSError:
            continue


def _remove(address: str, pid: int) -> None:
    """Remove a socket's path; not in a forked child, whose parent goes on listening there."""
    if pid == os.getpid():
        with contextlib.suppress(OSError):
            os.unlink(address)  # noqa: PTH108 - runs at interpreter exit, where less is more


_bells: WeakSet[Doorbell] = WeakSet()


def _forget_all() -> None:
    for bell in tuple(_bells):
        bell.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
