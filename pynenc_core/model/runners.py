"""Who executes: the context of a runner, a child process or a process outside any runner."""

from __future__ import annotations

import os
import socket
import threading

import attrs
import msgspec

from pynenc_core.identifiers import external_runner_id, new_runner_id


@attrs.frozen(kw_only=True)
class RunnerContext:
    """Names one executor, so that history can say who did what; stored once, and found by its `runner_id`."""

    class_name: str
    runner_id: str
    host: str
    pid: int
    thread: str = ""
    parent: RunnerContext | None = None

    @classmethod
    def of_this_process(cls, class_name: str, runner_id: str = "", parent: RunnerContext | None = None) -> RunnerContext:
        """Return a context for this process and thread; without a `runner_id` a new one is made."""
        return cls(
            class_name=class_name,
            runner_id=runner_id or new_runner_id(class_name),
            host=socket.gethostname(),
            pid=os.getpid(),
            thread=threading.current_thread().name,
            parent=parent,
        )

    @classmethod
    def external(cls) -> RunnerContext:
        """Return the context of a process that registers invocations without being a runner."""
        return cls.of_this_process("ExternalRunner", external_runner_id())

    def in_process(self, pid: int) -> RunnerContext:
        """Return this context as that of the process `pid`: a worker's is made by its parent, before there is a process."""
        return attrs.evolve(self, pid=pid)

    def lineage(self) -> tuple[RunnerContext, ...]:
        """Return this context and its parents, itself first."""
        return (self, *(self.parent.lineage() if self.parent else ()))

    def to_json(self) -> bytes:
        """Return this context, with its parents, as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> RunnerContext:
        """Return the context that `to_json` wrote; unknown fields are ignored. Raises msgspec.ValidationError on anything else."""
        return msgspec.json.decode(data, type=cls)
