"""What is said of a runner's health, to probes, to Prometheus and to systemd: known from the process itself, never asked of a store."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from pynenc_core import __version__
from pynenc_core.plugins import hookimpl
from pynenc_core.ports.executor_runner import ExecutorRunner
from pynenc_core.ports.runner import BaseRunner
from pynenc_core.ports.workers_runner import WorkersRunner

_PATIENCE = 15.0  # seconds since the store last answered, after which a runner takes no work for all one knows
_BEATS = 2  # an idle runner may have only heartbeats to show: so many of them are waited for where they are rarer than that


class Health:
    """Judges one runner; a plugin of its app, so that it hears of the start. Any thread may ask, at any time."""

    def __init__(self, runner: BaseRunner, runner_name: str) -> None:
        """`runner_name` is how the runner is chosen, as `thread`."""
        self.runner = runner
        self.runner_name = runner_name
        self.started = threading.Event()
        """Set when the runner has given its first heartbeat and is about to claim."""
        self._made_at = time.time()

    @hookimpl
    def pynenc_runner_started(self, runner: object) -> None:
        """Note that the runner has started."""
        if runner is self.runner:
            self.started.set()

    @property
    def phase(self) -> str:
        """`starting`, `running` or `stopping`; the latter until the process ends."""
        if self.runner.stops_asked or self.runner.stopping.is_set():
            return "stopping"
        return "running" if self.started.is_set() else "starting"

    @property
    def live(self) -> bool:
        """Whether the process does what only a restart could repair otherwise: its heartbeats go on. A store that is away is no reason."""
        return self.phase != "running" or self.runner.duties.beating

    @property
    def poll_age(self) -> float | None:
        """Seconds since the store last answered a claim; None before the first time."""
        return _age(self.runner.polled_at)

    @property
    def beat_age(self) -> float | None:
        """Seconds since the latest heartbeat that the store answered; None before the first one."""
        return _age(self.runner.duties.beaten_at)

    def why_not_ready(self) -> str:
        """Return why nobody should count on this runner to take work now; empty when it does.

        Both count: a claim that finds nothing only reads, and a store that cannot write any more answers it well.
        """
        phase, polled, beaten = self.phase, self.poll_age, self.beat_age
        if phase != "running":
            return phase
        if polled is None or beaten is None:
            return "the store has not answered a claim yet"
        patience = max(_PATIENCE, _BEATS * self.runner.conf.heartbeat_interval_sec)
        if polled > patience:
            return f"the store has not answered a claim for {polled:.1f} s"
        return f"the store has not answered a heartbeat for {beaten:.1f} s" if beaten > patience else ""

    def metrics(self) -> str:
        """Return all that is measured here in the text format of Prometheus, version 0.0.4."""
        return "".join(self._metrics())

    def _metrics(self) -> Iterator[str]:
        runner, phase = self.runner, self.phase
        labels = {"app_id": runner.app.app_id, "runner": self.runner_name, "runner_id": runner.runner_id, "version": __version__}
        yield _metric("runner_info", "Which runner this is.", 1, **labels)
        yield _metric("runner_start_time_seconds", "When this runner was made, in seconds since the epoch.", round(self._made_at, 3))
        yield _metric("runner_up", "1 while the runner runs, 0 while it starts or stops.", phase == "running")
        yield _metric("runner_ready", "Whether it takes work: what /ready says.", not self.why_not_ready())
        yield _metric("runner_slots", "How many invocations may run at once.", runner.max_parallel_slots)
        children = [child for child in runner.children() if child.alive]
        if isinstance(runner, ExecutorRunner | WorkersRunner):
            loads = [(gauge.jobs, gauge.paused) for gauge in runner.gauges]
            running = sum(max(0, jobs - paused) for jobs, paused in loads)
            yield _metric("runner_running_invocations", "How many invocations run.", running)
            paused = sum(paused for _, paused in loads)
            yield _metric("runner_paused_invocations", "How many invocations wait for others and hold no slot.", paused)
        yield _metric("runner_children", "How many child processes are alive.", len(children))
        for name, said, age in (("poll", "answered a claim", self.poll_age), ("heartbeat", "answered a heartbeat", self.beat_age)):
            if age is not None:
                yield _metric(f"runner_{name}_age_seconds", f"Seconds since the store last {said}.", round(age, 3))


def _age(at: float) -> float | None:
    return time.monotonic() - at if at else None


def _metric(name: str, summary: str, value: float, **labels: str) -> str:
    """Return one gauge with one sample. They are all gauges: what is counted over a life is in the store."""
    shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    full = f"pynenc_{name}"
    return f"# HELP {full} {summary}\n# TYPE {full} gauge\n{full}{f'{{{shown}}}' if shown else ''} {value + 0}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
