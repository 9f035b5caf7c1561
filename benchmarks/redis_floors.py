"""The floors over Redis: bare scripts with the same keys and the same number of writes, without any framework."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from typing import Any

from redis import Redis

_BODY = b"x" * 250
_OWNER = "PersistentProcessRunner@host-12345-0123456789"
# Submit: record, body, status, place in the queue, two labels, history.
_ENQUEUE = """
local call, P = redis.call, KEYS[1]
for n = 1, #ARGV, 2 do
  local id = ARGV[n]
  call('EXISTS', P .. 'i:' .. id)
  call('SET', P .. 'f:' .. id, ARGV[n + 1])
  call('XADD', P .. 'his', '*', 'i', id, 'e', '1 REGISTERED')
  call('HSET', P .. 'i:' .. id, 'status', 'REGISTERED', 'seq', '1', 'since', '1700000000000000', 'history', '123456789012', 'queue',
    'default', 'rank', '1700000000.5', 'task', 'bench_app.nothing')
  call('ZADD', P .. 's:REGISTERED', '0', id)
  call('ZADD', P .. 'lab', '0', '12345678' .. id, '0', string.sub(id, -8) .. id)
  call('ZADD', P .. 'q:default', id, id)
end
call('PUBLISH', P .. 'work', 'w')
return #ARGV / 2
"""
# Settle those that were claimed, claim as many: two statuses each time, history, owner, place, end; the reply brings record and body.
_DRAIN = """
local call, P = redis.call, KEYS[1]
for n = 3, #ARGV do
  local id = ARGV[n]
  call('HGETALL', P .. 'i:' .. id)
  call('ZREM', P .. 'own', ARGV[2] .. id)
  call('XADD', P .. 'his', '*', 'i', id, 'e', '4 SUCCESS' .. ARGV[2])
  call('HSET', P .. 'i:' .. id, 'status', 'SUCCESS', 'seq', '4', 'since', '1700000000000000', 'history', '123456789012123456789012',
    'runner', '', 'outcome', '123')
  call('ZADD', P .. 's:SUCCESS', '0', id)
  call('ZADD', P .. 'end', '1700000000', id)
  call('PUBLISH', P .. 'done', id)
end
local found = {}
call('TIME')
call('ZRANGE', P .. 'd:default', '0', '0', 'WITHSCORES')
for _, id in ipairs(call('ZRANGE', P .. 'q:default', '0', ARGV[1] - 1)) do
  call('HGETALL', P .. 'i:' .. id)
  call('ZREM', P .. 's:REGISTERED', id)
  call('ZREM', P .. 'q:default', id)
  call('XADD', P .. 'his', '*', 'i', id, 'e', '2 PENDING RUNNING' .. ARGV[2])
  call('HSET', P .. 'i:' .. id, 'status', 'RUNNING', 'seq', '3', 'since', '1700000000000000', 'history', '1234567890121234',
    'runner', ARGV[2], 'claim', '1')
  call('ZADD', P .. 'own', '0', ARGV[2] .. id)
  found[#found + 1] = {id, call('GET', P .. 'f:' .. id)}
end
call('SMEMBERS', P .. 'ask')
return found
"""


def enqueue(port: int, count: int, batch: int) -> float:
    """Return invocations a second that can be written, `batch` in a call."""
    client = Redis(port=port)
    client.flushall()
    script = client.register_script(_ENQUEUE)
    began = time.perf_counter()
    for first in range(0, count, batch):
        script(keys=["{floor}"], args=[part for n in range(first, first + batch) for part in (f"{n:026d}", _BODY)])
    return count / (time.perf_counter() - began)


def _work(port: int, batch: int, start: float, ends: multiprocessing.Queue[float]) -> None:
    script = Redis(port=port).register_script(_DRAIN)
    held: list[bytes] = []
    while time.time() < start:
        pass
    while True:
        held = [row[0] for row in script(keys=["{floor}"], args=[batch, _OWNER, *held])]
        if not held:
            ends.put(time.time())
            return


def drain(port: int, count: int, batch: int) -> float:
    """Return tasks a second that two processes settle and claim, `batch` in a call."""
    enqueue(port, count, min(count, 500))
    context = multiprocessing.get_context("spawn")
    start, ends = time.time() + 2.0, context.Queue()
    workers = [context.Process(target=_work, args=(port, batch, start, ends)) for _ in range(2)]
    for worker in workers:
        worker.start()
    ended: float = max(ends.get() for _ in workers)
    for worker in workers:
        worker.join()
    return count / (ended - start)


def _subscribed(client: Redis, channel: str) -> Any:
    heard: Any = client.pubsub()  # type: ignore[no-untyped-call]  # redis-py's
    heard.subscribe(channel)
    heard.get_message(timeout=10)
    return heard


def _answer(port: int, count: int) -> None:
    client = Redis(port=port)
    script = client.register_script(_DRAIN)
    heard = _subscribed(client, "{floor}work")
    client.rpush("ready", 1)
    held: list[bytes] = []
    for _ in range(count):
        while not (message := heard.get_message(timeout=10)) or message["type"] != "message":
            pass
        held = [row[0] for row in script(keys=["{floor}"], args=[1, _OWNER])]
        script(keys=["{floor}"], args=[0, _OWNER, *held])
    heard.close()


def round_trip(port: int, count: int) -> float:
    """Return the median milliseconds of: write a record and tell; the other process claims, settles and tells; read the record."""
    client = Redis(port=port)
    client.flushall()
    other = multiprocessing.get_context("spawn").Process(target=_answer, args=(port, count))
    other.start()
    script = client.register_script(_ENQUEUE)
    heard = _subscribed(client, "{floor}done")
    client.blpop(["ready"])
    taken = []
    for n in range(count):
        began = time.perf_counter()
        script(keys=["{floor}"], args=[f"{n:026d}", _BODY])
        while not (message := heard.get_message(timeout=10)) or message["type"] != "message":
            pass
        client.hgetall(f"{{floor}}i:{n:026d}")
        taken.append(time.perf_counter() - began)
    other.join()
    heard.close()
    return statistics.median(taken) * 1000
