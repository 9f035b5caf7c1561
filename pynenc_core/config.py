"""Every setting of the core with its type and default; nothing here loads anything.

A section is an attrs class made of `setting(...)` fields. Its instances are filled by `pynenc_core.configuration`, and
may be assigned to until the app has started. Plugins add sections of the same making through their specs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar

import attrs
from msgspec import Meta

from pynenc_core.errors.invocations import RetryError
from pynenc_core.redaction import redacted

T = TypeVar("T")

Count = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]
Amount = Annotated[float, Meta(ge=0)]
Interval = Annotated[float, Meta(gt=0)]
ConcurrencyScope = Literal["disabled", "task", "arguments", "keys"]


class AssignmentRule(Protocol):
    """Decides what is stored when a field of a loaded section is assigned to."""

    def __call__(self, section: SettingsSection, name: str, value: object) -> object:
        """Return the value to store, converted to the field's type; or raise."""
        ...


@attrs.frozen(eq=False)
class Agreement:
    """What two fields of a section must agree on; looked at when everything is loaded, and again when the app starts."""

    field: str
    other: str
    holds: Callable[[Any], bool]
    """Told the section."""
    advice: str
    """What is wrong otherwise, and what to do."""


class SettingsSection:
    """One section of the configuration. A subclass is `@attrs.define(kw_only=True)`, names its `section`, and has only
    fields made by `setting(...)`: each with a default, checked by its annotation (with `msgspec.Meta` for bounds).

    It has neither validators nor converters: values come from files, variables and code alike, and the annotation is
    what converts them all. (The core's own also leave `__eq__` and `__repr__` out: making them costs start-up time.)
    """

    __slots__ = ("_rule",)
    section: ClassVar[str] = ""
    """The name of its table in configuration files and in variables; the app's own settings have none."""
    agreements: ClassVar[tuple[Agreement, ...]] = ()
    """What its fields must agree on."""
    _rule: AssignmentRule

    def __repr__(self) -> str:
        """Return its class and values, without passwords and other secrets."""
        cls: Any = type(self)
        shown = (f"{field.name}={_shown(field, getattr(self, field.name))!r}" for field in attrs.fields(cls))
        return f"{cls.__qualname__}({', '.join(shown)})"

    def __setattr__(self, name: str, value: object) -> None:
        """Store a value; in a section that belongs to an app, converted, recorded, and refused once the app has started."""
        rule: AssignmentRule | None = getattr(self, "_rule", None)
        object.__setattr__(self, name, value if rule is None else rule(self, name, value))


def _shown(field: attrs.Attribute[object], value: object) -> object:
    return redacted(value, secret=field.metadata.get("secret", False))


def govern(section: SettingsSection, rule: AssignmentRule) -> None:
    """Let `rule` decide about every further assignment to a field of `section`."""
    object.__setattr__(section, "_rule", rule)


def setting(default: T, summary: str, *, secret: bool = False) -> T:
    """Declare a setting: its default, a line that says what it does (with its unit), and whether it must never be shown."""
    field: Any = attrs.field(
        default=default,
        metadata={"summary": summary, "secret": secret},
        repr=lambda value: repr(redacted(value, secret=secret)),  # for a class that has a repr of its own
    )
    return field  # type: ignore[no-any-return]  # as attrs does it: what the annotation promises is what an instance holds


@attrs.define(kw_only=True, eq=False, repr=False)
class PynencSettings(SettingsSection):
    """The app's own settings: `[tool.pynenc]`, `PYNENC__<FIELD>`."""

    app_id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = setting(
        "default", "names the app; apps that share a store never see each other's data"
    )
    url: str = setting("", "where everything is stored, as a URL; empty: the installed backend of the highest rank")
    runner_cls: str = setting("", "the runner, by plugin or class name; empty: the installed one of the highest rank")
    broker_cls: str = setting("", "the broker, by plugin or class name, where it is not the URL's")
    state_backend_cls: str = setting("", "the state backend, by plugin or class name, where it is not the URL's")
    serializer_cls: str = setting("json", "the serializer, by plugin or class name")
    dev_mode_force_sync_tasks: bool = setting(False, "tasks run inline when they are called, through the serializer all the same")
    task_modules: tuple[str, ...] = setting((), "modules that a runner imports at start, so that their tasks are known")
    trigger_task_modules: tuple[str, ...] = setting((), "modules that a runner imports at start for their triggers; failing is a warning")
    logging_level: Literal["debug", "info", "warning", "error", "critical"] = setting("info", "from which level the logs are shown")
    logging_format: Literal["text", "json"] = setting("text", "how a log line is written")
    logging_stream: Literal["stderr", "stdout"] = setting("stderr", "where the logs of the command line go")
    logging_arguments: Literal["hidden", "truncated", "full"] = setting("hidden", "how arguments appear in logs; secret ones never do")


@attrs.define(kw_only=True, eq=False, repr=False)
class RunnerSettings(SettingsSection):
    """What runners go by: `[tool.pynenc.runner]`. Which field concerns which runner is in the runner's documentation."""

    section: ClassVar[str] = "runner"
    agreements: ClassVar[tuple[Agreement, ...]] = (
        Agreement(
            "heartbeat_interval_sec",
            "runner_considered_dead_after_minutes",
            lambda runner: runner.heartbeat_interval_sec <= runner.runner_considered_dead_after_minutes * 60 / 2,
            "a runner must be heard of twice within the lease: let the interval be at most half of it, or lengthen the lease",
        ),
        Agreement(
            "min_processes",
            "max_processes",
            lambda runner: not 0 < runner.max_processes < runner.min_processes,
            "the least is more than the greatest: lower the one or raise the other",
        ),
        Agreement(
            "min_threads",
            "max_threads",
            lambda runner: not 0 < runner.max_threads < runner.min_threads,
            "the least is more than the greatest: lower the one or raise the other",
        ),
    )

    idle_claim_timeout_sec: Interval = setting(5.0, "seconds that an idle claim blocks; work, a signal or a child's death end it at once")
    invocation_wait_results_sleep_time_sec: Interval = setting(
        0.1, "seconds until the next look for a result where the store cannot notify"
    )
    runner_loop_sleep_time_sec: Interval = setting(
        0.1, "seconds until the next look for work where the broker cannot block, and after an error"
    )
    queues: tuple[str, ...] = setting(("default",), "the queues it takes work from, the first ones first")
    min_parallel_slots: AtLeastOne = setting(1, "the least number of invocations that run at once")
    min_threads: AtLeastOne = setting(1, "the least number of task threads in a process")
    max_threads: Count = setting(0, "the greatest number of task threads in a process; 0: the number of CPUs, in a pool of processes 1")
    min_processes: AtLeastOne = setting(1, "the least number of processes of a pool that scales")
    max_processes: Count = setting(0, "the greatest number of processes of a pool that scales; 0: the number of CPUs")
    enforce_max_processes: bool = setting(True, "always run `max_processes`; false: as many as there is work for")
    idle_timeout_process_sec: Amount = setting(4.0, "seconds without work after which a process of a pool that scales ends")
    max_tasks: AtLeastOne = setting(100, "the greatest number of invocations on one event loop, plain functions in threads included")
    num_processes: Count = setting(0, "the number of child processes of a fixed pool; 0: the number of CPUs")
    preload_app: bool = setting(False, "a runner that forks a process for each invocation imports the app before, once for all of them")
    grace_period_sec: Amount = setting(25.0, "seconds that running work may take to end when the runner is stopped; the rest is rerouted")
    diagnostics_deadline_sec: Interval = setting(2.0, "seconds for collecting the report of a shutdown, with all that plugins add")
    heartbeat_interval_sec: Interval = setting(5.0, "seconds between heartbeats")
    runner_considered_dead_after_minutes: Interval = setting(0.5, "the lease: minutes without heartbeat until its work is recovered")
    max_paused_per_worker: AtLeastOne = setting(256, "how many invocations of one process may wait for others; deeper chains are refused")
    settle_batch: AtLeastOne = setting(1, "how many results of one slot are settled together; a crash may repeat as many effects")


@attrs.define(kw_only=True, eq=False, repr=False)
class OrchestratorSettings(SettingsSection):
    """The core's rules: `[tool.pynenc.orchestrator]`."""

    section: ClassVar[str] = "orchestrator"

    max_pending_seconds: Interval = setting(30.0, "seconds until what was claimed and not started may be recovered")
    atomic_service_check_interval_minutes: Interval = setting(5 / 60, "minutes between two runs of recovery and the other duties")
    auto_final_invocation_purge_hours: Amount = setting(24.0, "hours that a final invocation is kept; 0: for ever")
    ageing_seconds: Interval = setting(300.0, "seconds of waiting that weigh as much as the whole span of priorities")
    max_parked_hours: Interval = setting(24.0, "hours that an invocation waits for a worker that knows its task, before it is quarantined")
    max_crashes: AtLeastOne = setting(3, "how often an invocation may crash its worker before it is quarantined")


@attrs.define(kw_only=True, eq=False, repr=False)
class ClientDataSettings(SettingsSection):
    """The store for large arguments and results: `[tool.pynenc.client_data]`."""

    section: ClassVar[str] = "client_data"

    disabled: bool = setting(False, "everything stays in the records, however large")
    min_size_to_cache: Count = setting(1024, "characters from which an argument or a result is stored apart, once by content")
    local_cache_size: Count = setting(1024, "entries of the cache in each process")


@attrs.frozen(kw_only=True)
class Limit:
    """At most `concurrency` of a task run at once, for each combination of the arguments in `key_arguments` (none: in all)."""

    concurrency: AtLeastOne
    key_arguments: tuple[str, ...] = ()


@attrs.define(kw_only=True, eq=False, repr=False)
class TaskSettings(SettingsSection):
    """The options of a task: `@app.task(...)`, `[tool.pynenc.task]` for all, `[tool.pynenc.task."module.function"]` for one.

    Where an option of one task comes from, highest first: what code sets for that task by name (builder), a variable
    `PYNENC__TASK__<MODULE>__<FUNCTION>__<FIELD>` or the task's table in the file named by PYNENC__FILEPATH (an operator
    names the task on purpose), the decorator, the task's table in other files (they do not override code), what is set
    for all tasks (in the order of all settings), the default.
    """

    section: ClassVar[str] = "task"
    agreements: ClassVar[tuple[Agreement, ...]] = (
        Agreement(
            "soft_timeout",
            "timeout",
            lambda task: not 0 < task.timeout <= task.soft_timeout,
            "it must be less than the task's `timeout`, or it is never raised",
        ),
    )

    max_retries: Count = setting(0, "how often it is tried again after it raised one of `retry_for`")
    retry_for: tuple[type[BaseException], ...] = setting((RetryError,), "what it may raise to be tried again; in files `module:Name`")
    retry_delay_sec: Amount = setting(0.0, "seconds before the first retry; 0: at once")
    retry_backoff: Annotated[float, Meta(ge=1)] = setting(2.0, "by what the delay is multiplied at each further retry")
    retry_max_delay_sec: Amount = setting(3600.0, "seconds that a retry is delayed at most")
    retry_jitter: Annotated[float, Meta(ge=0, le=1)] = setting(0.1, "the part of the delay that is random: 0.1 is plus or minus 10 %")
    queue: Annotated[str, Meta(min_length=1, max_length=128)] = setting("default", "the queue its invocations wait in")
    priority: Annotated[int, Meta(ge=-100, le=100)] = setting(0, "-100 to 100, the higher the sooner")
    delay: Amount | None = setting(None, "seconds from the call to the earliest start")
    eta: datetime | None = setting(None, "the earliest start as a point in time; a naive one is UTC")
    expires: Interval | None = setting(None, "seconds from the call after which it is not started any more")
    timeout: Amount = setting(0.0, "seconds that an attempt may run before it is stopped, waits for other invocations apart; 0: no limit")
    soft_timeout: Amount = setting(0.0, "seconds after which SoftTimeoutError is raised in it; less than `timeout`; 0: never")
    parallel_batch_size: Annotated[int, Meta(ge=1, le=500)] = setting(500, "calls that `parallelize` submits in one batch, all or nothing")
    registration_concurrency: ConcurrencyScope = setting("disabled", "what makes a call a duplicate of one that is not final yet")
    running_concurrency: ConcurrencyScope = setting("disabled", "of what only one may run at a time")
    key_arguments: tuple[str, ...] = setting((), "the arguments that count where concurrency is by `keys`")
    reroute_on_concurrency_control: bool = setting(True, "what may not run now waits for its turn; else it is dropped")
    limits: tuple[Limit, ...] = setting((), "how many may run at once, by key")
    disable_cache_args: tuple[str, ...] = setting((), "arguments that are never stored apart from the record; `*` is all")
    force_new_workflow: bool = setting(False, "each invocation begins a workflow of its own")
    secret_args: tuple[str, ...] = setting((), "arguments that are shown nowhere")


CORE_SECTIONS: tuple[type[SettingsSection], ...] = (
    PynencSettings,
    RunnerSettings,
    OrchestratorSettings,
    ClientDataSettings,
    TaskSettings,
)
"""The sections that the core itself reads."""
