"""A TCP proxy before a server, whose connections a test can delay, cut, refuse, or let stand still."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Self

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)
"""What makes a close send a reset instead of an end."""


class Proxy:
    """Passes connections on to a server, from a port of 127.0.0.1 of its own; a context, at whose end all of them are cut."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """`port` is the server's; nobody need listen there yet."""
        self._server = host, port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self.delay = 0.0
        """Seconds that everything is held back in each direction."""
        self.accepted = 0
        """How many connections there have been, refused ones among them."""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._refuses = False
        self._ended = False
        self._pause = threading.Event()  # never set: a wait for it lasts
        threading.Thread(target=self._accept_all, name="kit-proxy", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cut(self) -> None:
        """Reset every connection; new ones are passed on."""
        with self._lock:
            taken, self._open = self._open, set()
        for each in taken:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                each.shutdown(socket.SHUT_RDWR)  # wakes who reads from it
            each.close()

    @contextmanager
    def refusing(self) -> Generator[None]:
        """Reset every connection, and each new one, within a block."""
        self._refuses = True
        self.cut()
        try:
            yield
        finally:
            self._refuses = False

    @contextmanager
    def stalled(self) -> Generator[None]:
        """Let everything stand still within a block, without a sign of it, as a network does that is parted.

        What was sent meanwhile arrives afterwards, also when its sender has given up: then its end follows.
        """
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    def close(self) -> None:
        """Cut everything and listen no more."""
        self._ended = True
        self._flows.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept_all(self) -> None:
        while not self._ended:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._connect, args=(client,), name="kit-proxy", daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self._flows.wait()
        with self._lock:
            self._open.add(client)
        if self._refuses or self._ended:
            self.cut()
            return
        try:
            server = socket.create_connection(self._server, timeout=5.0)
        except OSError:
            self._drop(client)
            return
        server.settimeout(None)
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(server)
        back = threading.Thread(target=self._pass_on, args=(server, client), name="kit-proxy", daemon=True)
        back.start()
        self._pass_on(client, server)
        back.join()
        self._drop(client)
        self._drop(server)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        """Hand on what comes from one side until its end, and that as well."""
        try:
            while data := source.recv(_CHUNK):
                self._flows.wait()
                if self.delay:
                    self._pause.wait(self.delay)
                target.sendall(data)
            self._flows.wait()
            target.shutdown(socket.SHUT_WR)
        except (OSError, ValueError):  # a cut, here or there
            for each in (source, target):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _drop(self, end: socket.socket) -> None:
        with self._lock:
            self._open.discard(end)
        end.close()
