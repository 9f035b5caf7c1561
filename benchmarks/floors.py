"""The floors: bare scripts that make the same writes, or pass the same messages, without any framework."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sqlite3
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

_INSERT = (
    "INSERT INTO invocation (app, id, status, claim, seq, since, queue, root, rank, place, steps)"
    " VALUES (1, ?, 'REGISTERED', 0, 1, ?, 'default', 1, ?, ?, x'00')"
)
_FIXED = "INSERT INTO fixed (app, id, body) VALUES (1, ?, ?)"
_LABEL = "INSERT INTO label (app, label, id) VALUES (1, ?, ?)"
_HISTORY = "INSERT INTO history (app, at, id, seq, status, runner, claim, reason, registered_by) VALUES (1, ?, ?, ?, ?, 'r', 1, '', '')"
_FIRST = "SELECT id FROM invocation WHERE app = 1 AND queue = 'default' AND place IS NOT NULL ORDER BY place LIMIT ?"
_CLAIM = "UPDATE invocation SET status = 'RUNNING', runner = 'r', claim = 1, seq = 3, since = ?, place = NULL WHERE app = 1 AND id = ?"
_SETTLE = "UPDATE invocation SET status = 'SUCCESS', runner = NULL, seq = 4, since = ?, ended = ?, outcome = x'01' WHERE app = 1 AND id = ?"
_BODY = b"x" * 200


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _create(path: Path) -> sqlite3.Connection:
    connection = _connect(path)
    connection.executescript(resources.files("pynenc_backend_sqlite").joinpath("schema.sql").read_text())
    return connection


def _enqueue(connection: sqlite3.Connection, first: int, count: int) -> None:
    now = time.time()
    connection.execute("BEGIN IMMEDIATE")
    for n in range(first, first + count):
        identity = f"{n:026d}"
        connection.execute(_INSERT, (identity, now, now, now))
        connection.execute(_FIXED, (identity, _BODY))
        connection.executemany(_LABEL, [(-1, identity), (n, identity), (-2, identity)])
        connection.execute(_HISTORY, (now, identity, 1, "REGISTERED"))
    connection.execute("COMMIT")


def sqlite_enqueue(where: Path, count: int, batch: int) -> float:
    """Return invocations a second that can be written, `batch` in a transaction."""
    connection = _create(where / f"floor-enqueue-{batch}.db")
    began = time.perf_counter()
    for first in range(0, count, batch):
        _enqueue(connection, first, batch)
    return count / (time.perf_counter() - began)


def _work(path: Path, batch: int, start: float) -> None:
    connection = _connect(path)
    held: list[str] = []
    while time.time() < start:
        pass
    while True:
        connection.execute("BEGIN IMMEDIATE")
        now = time.time()
        for identity in held:
            connection.execute(_SETTLE, (now, now, identity))
            connection.execute(_HISTORY, (now, identity, 4, "SUCCESS"))
        held = [row[0] for row in connection.execute(_FIRST, (batch,)).fetchall()]
        for identity in held:
            connection.execute(_CLAIM, (now, identity))
            connection.execute(_HISTORY, (now, identity, 2, "PENDING"))
            connection.execute(_HISTORY, (now, identity, 3, "RUNNING"))
        connection.execute("COMMIT")
        if not held:
            return


def sqlite_drain(where: Path, count: int, batch: int) -> float:
    """Return tasks a second that two processes settle and claim, `batch` in a transaction, with the same tables and indexes."""
    path = where / f"floor-drain-{batch}.db"
    _enqueue(_create(path), 0, count)
    context = multiprocessing.get_context("spawn")
    start = time.time() + 1.0
    workers = [context.Process(target=_work, args=(path, batch, start)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return count / (time.time() - start)


def thread_pool(count: int) -> float:
    """Return no-op calls a second through a ThreadPoolExecutor, results fetched."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        began = time.perf_counter()
        for future in [pool.submit(int, n) for n in range(count)]:
            future.result()
        return count / (time.perf_counter() - began)


def _answer(path: Path, there: str, count: int) -> None:
    connection = _connect(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(there)
        for _ in range(count):
            identity = bell.recv(64).decode()
            now = time.time()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_FIRST, (1,)).fetchall()
            connection.execute(_CLAIM, (now, identity))
            connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_SETTLE, (now, now, identity))
            connection.execute("COMMIT")
            bell.sendto(b"done", f"{there}-client")


def sqlite_round_trip(where: Path, count: int) -> float:
    """Return the median milliseconds of: write a row, ring, the other process writes twice, rings back, read the row."""
    path, there = where / "floor-latency.db", str(where / "bell")
    connection = _create(path)
    other = multiprocessing.get_context("spawn").Process(target=_answer, args=(path, there, count))
    other.start()
    taken = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(f"{there}-client")
        while not Path(there).exists():
            time.sleep(0.01)
        for n in range(count):
            began = time.perf_counter()
            _enqueue(connection, n, 1)
            bell.sendto(f"{n:026d}".encode(), there)
            bell.recv(64)
            connection.execute("SELECT outcome FROM invocation WHERE app = 1 AND id = ?", (f"{n:026d}",)).fetchall()
            taken.append(time.perf_counter() - began)
    other.join()
    return statistics.median(taken) * 1000


def thread_round_trip(count: int) -> float:
    """Return the median milliseconds of handing something to a thread and getting an answer."""
    there, back = threading.Semaphore(0), threading.Semaphore(0)

    def answer() -> None:
        for _ in range(count):
            there.acquire()
            back.release()

    threading.Thread(target=answer, daemon=True).start()
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        there.release()
        back.acquire()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000
