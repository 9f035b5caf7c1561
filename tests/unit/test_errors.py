"""Every error: its message word for word, its way through pickle, and that something raises it."""

from __future__ import annotations

import ast
import importlib
import pickle
import pkgutil
from pathlib import Path

import pytest

import pynenc_core.errors
from pynenc_core.errors import backends, builder, cli, configuration, invocations, plugins, records, runners, serialization
from pynenc_core.errors.base import PynencError

ROOT = Path(__file__).parents[2]
P = ("shop", "shop-plugin 1.2")
FOR_PLUGINS = {"UnsupportedError"}
"""Raised by plugins that deny a capability; none of ours does so far."""
ARGUMENT, RESULT = ("shop.bill", "x"), ("shop.bill", "return value")

MESSAGES: list[tuple[PynencError, str]] = [
    # backends
    (backends.BackendUnavailableError("the store", "it is away"), "the store cannot be used: it is away"),
    (
        backends.BackendUnavailableError("SQLite store /x.db", "the disk is full", "free some space"),
        "SQLite store /x.db cannot be used: the disk is full; free some space",
    ),
    (
        backends.StoreFormatError("the store", 3, 2),
        (
            "the store has format 3, written by a newer pynenc; this one reads up to 2: upgrade pynenc-core and the backend's package, "
            "or use another store"
        ),
    ),
    (backends.StoreFormatError("the store", 1, 2), "the store has format 1, this pynenc writes 2: run `pynenc store migrate` first"),
    (
        backends.StoreCorruptError("the store", "file is not a database"),
        (
            "the store is damaged or not a pynenc store: file is not a database; move it away and restore it from a copy, "
            "or name another one with `url` in [tool.pynenc]"
        ),
    ),
    (backends.UnsupportedError("backend 'x'", "watching"), "backend 'x' does not support watching"),
    (backends.UnsupportedError("backend 'x'", "watching", "ask again"), "backend 'x' does not support watching; ask again"),
    # builder
    (
        builder.UnknownBuilderMethodError("redsi", ("memory", "sqlite"), "redis", "pynenc-backend-redis", ("plugin 'x' is broken",)),
        "PynencBuilder has no method 'redsi'; did you mean 'redis'? If not: pip install pynenc-backend-redis\nnote: plugin 'x' is broken",
    ),
    (
        builder.UnknownBuilderMethodError("mongo", ("memory", "sqlite"), install="pynenc-backend-mongo"),
        "PynencBuilder has no method 'mongo'; methods of installed plugins: memory, sqlite; pip install pynenc-backend-mongo",
    ),
    (builder.UnknownBuilderMethodError("x", ()), "PynencBuilder has no method 'x'; methods of installed plugins: none"),
    # command line
    (
        cli.NoAppFoundError("/shop"),
        "no file in /shop makes an app; name one with `pynenc --app module:attribute ...`, or go where your app is",
    ),
    (
        cli.NoAppFoundError("/shop", ("a.py", "b.py")),
        (
            "no file in /shop makes an app (no app at the top of a.py, b.py); name one with `pynenc --app module:attribute ...`, "
            "or go where your app is"
        ),
    ),
    (
        cli.SeveralAppsFoundError("/shop", ("a:app", "b:app")),
        "there are several apps in /shop: a:app, b:app; name one with `pynenc --app module:attribute ...`",
    ),
    (
        cli.AppNotFoundError("shop:app", "no module is named 'shop'"),
        "--app shop:app: no module is named 'shop'; write it as module:attribute, and start where that module can be imported",
    ),
    (
        cli.AppModuleError("shop", "NameError: x", "/shop.py", 3),
        "module 'shop' cannot be imported: /shop.py, line 3: NameError: x; `pynenc --debug ...` shows the whole traceback",
    ),
    (
        cli.AppModuleError("shop", "ImportError: y"),
        "module 'shop' cannot be imported: ImportError: y; `pynenc --debug ...` shows the whole traceback",
    ),
    (cli.UnknownTaskNameError("bill", ("shop.bill", "till.bill")), "--task bill may be any of shop.bill, till.bill; write more of it"),
    (
        cli.CommandTypeError("deploy", "shop:run"),
        "the plugin that offers the command 'deploy' names 'shop:run' for it, which is no click command; tell its author",
    ),
    (
        cli.ReloadUnavailableError("No module named 'watchfiles'"),
        "--reload cannot watch for changes: No module named 'watchfiles'; pip install \"pynenc-core[reload]\"",
    ),
    (
        cli.ReloadUnavailableError("no space left on device", "raise the limit"),
        "--reload cannot watch for changes: no space left on device; raise the limit",
    ),
    (
        cli.HealthPortError("127.0.0.1", 8080, "Address already in use"),
        (
            "--health-port 8080 cannot be opened on 127.0.0.1: Address already in use; "
            "choose another port (0 takes any that is free) or another --health-host"
        ),
    ),
    # configuration
    (
        configuration.UnknownSettingError("pyproject.toml", "max_thread", ("max_threads", "min_threads"), ("max_threads",)),
        "pyproject.toml: no setting is named 'max_thread'; did you mean max_threads or min_threads?",
    ),
    (
        configuration.UnknownSettingError("pyproject.toml", "zzz", (), ("app_id", "url")),
        "pyproject.toml: no setting is named 'zzz'; known here: app_id, url",
    ),
    (
        configuration.UnknownSettingError("environment variable PYNENC__ZZZ", "zzz"),
        "environment variable PYNENC__ZZZ: no setting is named 'zzz'; `pynenc config show` lists all",
    ),
    (
        configuration.UnknownSectionError("pyproject.toml", "runer", "runner", ("runner", "task")),
        (
            "pyproject.toml: nothing reads the section 'runer'; did you mean 'runner'? Else install the plugin that "
            "brings it, or remove it; "
            "sections here: runner, task"
        ),
    ),
    (
        configuration.UnknownSectionError("pyproject.toml", "redis", known=("runner",)),
        "pyproject.toml: nothing reads the section 'redis'; install the plugin that brings it, or remove it; sections here: runner",
    ),
    (
        configuration.InvalidSettingError("code", "runner.max_threads", "Expected `int`", "'many'"),
        "code: the value of runner.max_threads ('many') does not fit: Expected `int`",
    ),
    (
        configuration.InvalidSettingError("code", "redis.password", "Expected `str`"),
        "code: the value of redis.password does not fit: Expected `str`",
    ),
    (
        configuration.SettingsDisagreeError("code", "runner.min_threads", "4", "runner.max_threads", "2", "lower the first"),
        "code: runner.min_threads (4) does not go with runner.max_threads (2): lower the first",
    ),
    (
        configuration.ConfigFileError("PYNENC__FILEPATH", "x.toml", "it does not exist"),
        "the configuration file x.toml, named by PYNENC__FILEPATH, cannot be used: it does not exist",
    ),
    (
        configuration.SettingsFrozenError("runner.max_threads"),
        (
            "runner.max_threads cannot be changed now: the app has started and its parts have read their settings; assign it before that, "
            "or use the builder, the environment or a configuration file"
        ),
    ),
    (
        configuration.SettingsClassError("plugin 'shop'", "till", "a field has no default"),
        "plugin 'shop' cannot be the section 'till' of the configuration: a field has no default",
    ),
    # invocations
    (
        invocations.InvocationNotFoundError("i1", "shop"),
        (
            "app 'shop' has no invocation 'i1': it was never registered in this store, or it was purged; "
            "`pynenc invocation list` shows what is stored"
        ),
    ),
    (
        invocations.InvocationStatusTransitionError("i1", "PAUSED", "SUCCESS", ("FAILED", "RUNNING")),
        "invocation i1 cannot go from PAUSED to SUCCESS; allowed from PAUSED: FAILED, RUNNING",
    ),
    (
        invocations.InvocationStatusTransitionError("i1", "SUCCESS", "FAILED", ()),
        "invocation i1 cannot go from SUCCESS to FAILED; allowed from SUCCESS: nothing, it is final",
    ),
    (
        invocations.InvocationStatusOwnershipError("i1", "RUNNING", "SUCCESS", "r2", 2, "r1", 1),
        (
            "invocation i1 is RUNNING and belongs to r2 (claim 2); r1 (claim 1) may not move it to SUCCESS; "
            "it was recovered or claimed anew in the meantime, and the new owner's outcome counts"
        ),
    ),
    (
        invocations.InvocationStatusOwnershipError("i1", "REROUTED", "SUCCESS", "", 0, "", 0),
        (
            "invocation i1 is REROUTED and belongs to nobody; somebody who owns nothing may not move it to SUCCESS; "
            "it was recovered or claimed anew in the meantime, and the new owner's outcome counts"
        ),
    ),
    (
        invocations.InvocationTimeoutError("i1", "RUNNING", 2.50),
        (
            "invocation i1 is still RUNNING after 2.5 s; it goes on: wait again, or check with `pynenc doctor` that a runner works on its "
            "queue"
        ),
    ),
    (
        invocations.SoftTimeoutError("i1", "shop.bill", 5.0),
        ("invocation i1 of task shop.bill has run for 5 s, its `soft_timeout`: catch this to end in order, or give the task more time"),
    ),
    (
        invocations.HardTimeoutError("i1", "shop.bill", 0.5),
        (
            "invocation i1 of task shop.bill ran longer than 0.5 s, its `timeout`, and was stopped: "
            "give the task more time, or let it do less at once"
        ),
    ),
    (invocations.InvocationCancelledError("i1"), "invocation i1 was cancelled, so it has no result"),
    (invocations.InvocationCancelledError("i1", "too late"), "invocation i1 was cancelled (too late), so it has no result"),
    (
        invocations.InvocationQuarantinedError("i1"),
        "invocation i1 is quarantined: no reason was recorded; see `pynenc invocation show i1`",
    ),
    (
        invocations.InvocationQuarantinedError("i1", "crashed its worker 3 times"),
        "invocation i1 is quarantined: crashed its worker 3 times; see `pynenc invocation show i1`",
    ),
    (
        invocations.InvocationDroppedError("i1"),
        "invocation i1 was dropped by concurrency control; it never ran and has no result",
    ),
    (
        invocations.InvocationDroppedError("i1", "limit k is full"),
        "invocation i1 was dropped by concurrency control: limit k is full; it never ran and has no result",
    ),
    (
        invocations.WaitDepthError("i1", 256),
        (
            "invocation i1 may not wait: 256 invocations are paused in this worker already; "
            "raise `max_paused_per_worker` in [tool.pynenc.runner], or make the chain of waiting tasks shorter"
        ),
    ),
    (
        invocations.ConcurrencyDeadlockError("i1", ("i1", "i2", "i1")),
        "invocation i1 waits in a circle: i1 -> i2 -> i1; none of them could ever finish",
    ),
    (invocations.RetryError(), "the task asks to be tried again"),
    (invocations.RetryError("busy", 1.50), "the task asks to be tried again in 1.5 s: busy"),
    (invocations.RetryError(delay=0.0), "the task asks to be tried again in 0 s"),
    # plugins
    (plugins.PluginError(*P), "plugin 'shop' from shop-plugin 1.2 does not work; `pynenc plugins check` lists what is wrong"),
    (
        plugins.PluginLoadError(*P, "No module named 'till'"),
        (
            "plugin 'shop' from shop-plugin 1.2 could not be loaded: No module named 'till'; upgrade or uninstall it, "
            "or leave it out with PYNENC_DISABLE_PLUGINS=shop"
        ),
    ),
    (
        plugins.PluginHookNameError(*P, "pynenc_runer", "there is no such hook"),
        "plugin 'shop' from shop-plugin 1.2 has a function 'pynenc_runer' that would never be called: there is no such hook",
    ),
    (
        plugins.PluginHookError(*P, "pynenc_runners", "ValueError: x"),
        "plugin 'shop' from shop-plugin 1.2 failed in its hook 'pynenc_runners': ValueError: x",
    ),
    (
        plugins.PluginResultError(*P, "pynenc_runners", "RunnerSpec objects", "3"),
        "plugin 'shop' from shop-plugin 1.2 returned 3 from its hook 'pynenc_runners', which must return RunnerSpec objects",
    ),
    (
        plugins.PluginApiError(*P, "runner 'till'", 1, 2),
        (
            "plugin 'shop' from shop-plugin 1.2 brings runner 'till' for version 1 of the plugin API, and this core speaks version 2; "
            "upgrade the plugin"
        ),
    ),
    (
        plugins.PluginApiError(*P, "runner 'till'", 3, 2),
        (
            "plugin 'shop' from shop-plugin 1.2 brings runner 'till' for version 3 of the plugin API, and this core speaks version 2; "
            "upgrade pynenc-core"
        ),
    ),
    (
        plugins.PluginTargetError(*P, "runner 'till'", "till:Runner", "it is no class"),
        "plugin 'shop' from shop-plugin 1.2 says that runner 'till' is at 'till:Runner', which cannot be used: it is no class",
    ),
    (
        plugins.PluginConflictError("runner", "till", ("a 1.0", "b 1.0"), "a"),
        "runner name 'till' is claimed by a 1.0 and b 1.0; uninstall all but one, or leave one out with PYNENC_DISABLE_PLUGINS=a",
    ),
    (
        plugins.PluginConflictError("entry point", "till", ("a 1.0", "b 1.0")),
        "entry point name 'till' is claimed by a 1.0 and b 1.0; uninstall all but one",
    ),
    (
        plugins.UnknownPluginError("backend", "redsi", ("memory", "sqlite"), "redis", "pynenc-backend-redsi", ("plugin 'x' is broken",)),
        (
            "no backend is named 'redsi'; installed: memory, sqlite; did you mean 'redis'? If not: pip install pynenc-backend-redsi"
            "\nnote: plugin 'x' is broken"
        ),
    ),
    (
        plugins.UnknownPluginError("runner", "gpu", (), install="pynenc-runner-gpu"),
        "no runner is named 'gpu'; installed: none; pip install pynenc-runner-gpu",
    ),
    (plugins.NothingInstalledError("backend"), 'no backend is installed; pip install "pynenc-core[default]"'),
    (
        plugins.NothingInstalledError("runner", "that crosses processes", ("thread",), ("plugin 'x' is broken",)),
        (
            'no runner that crosses processes is installed; pip install "pynenc-core[default]", or choose another combination; '
            "installed: thread\nnote: plugin 'x' is broken"
        ),
    ),
    (plugins.CapabilityError("runner 'a'", "backend 'b'"), "runner 'a' cannot work with backend 'b'"),
    (
        plugins.ProcessesNotCrossedError("runner 'a'", "backend 'b'", ("thread",), ("sqlite",)),
        (
            "runner 'a' cannot work with backend 'b': its tasks run in other processes, and what is stored here is seen "
            "by one process only; "
            "runners that stay in one process: thread; backends that cross processes: sqlite"
        ),
    ),
    (
        plugins.ProcessesNotCrossedError("runner 'a'", "backend 'b'", (), ()),
        (
            "runner 'a' cannot work with backend 'b': its tasks run in other processes, and what is stored here is seen "
            "by one process only; "
            "runners that stay in one process: none installed; backends that cross processes: none installed"
        ),
    ),
    (
        plugins.BackendPromiseError("backend 'a'", "broker 'b'", "durable"),
        "backend 'a' says `durable=True` and its half, broker 'b', says False; tell the plugin's author",
    ),
    (
        plugins.PluginSnapshotError(("a 1.0",), ("b 1.0", "c 1.0"), ("d 1.0",), "/venv/bin/python"),
        (
            "this process (/venv/bin/python) has other plugins than the one that started it: missing here: a 1.0; only here: b 1.0, c 1.0; "
            "other version here: d 1.0; both must run in one environment that is not changed meanwhile: restart the runner"
        ),
    ),
    (
        plugins.PluginSnapshotError((), ("b 1.0",), ()),
        (
            "this process has other plugins than the one that started it: only here: b 1.0; "
            "both must run in one environment that is not changed meanwhile: restart the runner"
        ),
    ),
    (
        plugins.SharedEntryPointsError("pynenc 0.1"),
        (
            "pynenc 0.1 is installed in this environment beside pynenc-core; both own the command `pynenc` and the "
            "entry-point group 'pynenc', "
            "so the last one installed has the command; pip uninstall pynenc, or use an environment of its own"
        ),
    ),
    (
        plugins.SharedEntryPointsError("pynenc 0.1", ("a", "b")),
        (
            "pynenc 0.1 is installed in this environment beside pynenc-core; both own the command `pynenc` and the "
            "entry-point group 'pynenc', "
            "so the last one installed has the command (not loaded from there: a, b); pip uninstall pynenc, or use an "
            "environment of its own"
        ),
    ),
    (
        plugins.ManagerNotPicklableError(),
        "a PluginManager cannot be pickled; send its snapshot(), and let the other process make its own manager and check_snapshot()",
    ),
    # records
    (
        records.RecordUnreadableError("i1"),
        (
            "the record of invocation i1 cannot be decoded: it was damaged, or written by another program; "
            "it names no task any more, so it is never run: call the task again"
        ),
    ),
    (
        records.OutcomeMissingError("i1", "RUNNING", "result"),
        (
            "invocation i1 is RUNNING and has no result: a result is stored with SUCCESS, an exception with FAILED or QUARANTINED; "
            "`Invocation.get_result` waits until there is one"
        ),
    ),
    # runners
    (
        runners.LoopBlockedError("0abc", "shop.pay"),
        (
            "invocation 0abc of shop.pay would block the event loop that it shares with other coroutines, which may be those it waits for: "
            "use `await invocation.async_result()` or `async for ... in group.async_results()`, "
            "or hand the blocking call to asyncio.to_thread"
        ),
    ),
    (
        runners.RunnerNotExecutableError("DummyRunner", "run"),
        (
            "DummyRunner executes nothing, so run() cannot work: start a runner with `pynenc --app module:attribute runner start`, "
            "or name one with `runner_cls` in [tool.pynenc]"
        ),
    ),
    (
        runners.AppLocatorError("shop:app", "it is no Pynenc object"),
        "the app 'shop:app' cannot be found by another process: it is no Pynenc object",
    ),
    (
        runners.TaskInMainError("bill"),
        (
            "task 'bill' is defined in __main__, the script that was started, which no worker can import under that name: "
            "move it to a module and import it from there"
        ),
    ),
    (runners.TaskDefinitionError("<lambda>", "a lambda has no name"), "'<lambda>' cannot be a task: a lambda has no name"),
    (
        runners.UnknownTaskError("shop.bill", "shop"),
        "app 'shop' knows no task 'shop.bill' in this process: import its module, or name it in `task_modules` in [tool.pynenc]",
    ),
    (runners.TaskCancelled("i1"), "invocation i1 is cancelled"),
    (runners.TaskCancelled("i1", "its `timeout` is over"), "invocation i1 is cancelled: its `timeout` is over"),
    (
        runners.NoShutdownReportError("r1", "shop"),
        (
            "app 'shop' has no report of a shutdown of runner 'r1': it still runs, was killed, ended more than a week ago, or never was; "
            "`pynenc runner list` shows who lives and who ended lately"
        ),
    ),
    (
        runners.PreloadRefusedError("importing it starts threads (pool-1)"),
        (
            "the app cannot be loaded before workers are forked: importing it starts threads (pool-1); "
            "mend that, or leave `preload_app` false in [tool.pynenc.runner]"
        ),
    ),
    # serialization
    (
        serialization.ArgumentBindingError(*ARGUMENT, "missing", "(x, y)"),
        "task shop.bill lacks a value for x; its signature is (x, y)",
    ),
    (
        serialization.ArgumentBindingError("shop.bill", "z", "unexpected", "(x, y)"),
        "task shop.bill does not take an argument named z; its signature is (x, y)",
    ),
    (
        serialization.ArgumentBindingError(*ARGUMENT, "multiple", "(x, y)"),
        "task shop.bill got more than one value for x; its signature is (x, y)",
    ),
    (
        serialization.ArgumentBindingError("shop.bill", "2", "too many", "(x, y)"),
        "task shop.bill takes no more than 2 positional arguments; its signature is (x, y)",
    ),
    (
        serialization.ArgumentEncodingError(*ARGUMENT, "list[int]", "it is a str", "[2]", "pass an int"),
        "task shop.bill: argument 'x', annotated `list[int]`, cannot be sent at [2]: it is a str; pass an int",
    ),
    (
        serialization.ArgumentEncodingError(*ARGUMENT, "", "a set would come back as a list"),
        "task shop.bill: argument 'x', which has no annotation, cannot be sent: a set would come back as a list",
    ),
    (
        serialization.ResultEncodingError(*RESULT, "int", "it is a str", ".price", "return an int"),
        "task shop.bill: its return value, annotated `int`, cannot be stored at .price: it is a str; return an int",
    ),
    (
        serialization.PayloadDecodingError(*ARGUMENT, "int", "it is a str", "[0]"),
        (
            "task shop.bill: what is stored for 'x', annotated `int`, cannot be read back at [0]: it is a str; "
            "it was damaged, or written by a different version of the task"
        ),
    ),
    (
        serialization.PayloadSignatureError(*ARGUMENT, problem="it has no signature"),
        (
            "task shop.bill: what is stored for 'x' was not opened: it has no signature; "
            "give every process the same signing key, and keep an old key until nothing signed with it is left"
        ),
    ),
    (
        serialization.BlobMissingError(*ARGUMENT, key="0123456789abcdef0123"),
        "task shop.bill: the store has no blob 0123456789abcdef for 'x': its life span is over, or it was purged; call the task again",
    ),
    (
        serialization.PayloadTooLargeError(*ARGUMENT, 70_000_000, 67_108_864),
        (
            "task shop.bill: 'x' takes 70,000,000 bytes when encoded, and 67,108,864 is the most that is stored; "
            "store it elsewhere and pass its address"
        ),
    ),
    (
        serialization.PayloadTooLargeError(*ARGUMENT, 2_000_000, 1_048_576, cached=False),
        (
            "task shop.bill: 'x' takes 2,000,000 bytes when encoded, and 1,048,576 is the most that is stored; "
            "enable the client data store for it, which takes larger ones, or store it elsewhere and pass its address"
        ),
    ),
    (
        serialization.SigningKeyError("default", "missing"),
        (
            "PickleSerializer refuses to work with signing key 'default': there is none; pickled data runs code when it is opened, so only "
            "what carries our signature is: give a secret of at least 32 bytes, the same in every process, or use the JSON serializer"
        ),
    ),
    (
        serialization.SigningKeyError("default", "short", 5),
        (
            "PickleSerializer refuses to work with signing key 'default': it has 5 bytes, and 32 is the least; pickled "
            "data runs code when it "
            "is opened, so only what carries our signature is: give a secret of at least 32 bytes, the same in every process, "
            "or use the JSON serializer"
        ),
    ),
    (
        serialization.SigningKeyError("a b", "id"),
        (
            "PickleSerializer refuses to work with signing key 'a b': its id must be 1 to 32 letters, digits, `_` or "
            "`-`; pickled data runs "
            "code when it is opened, so only what carries our signature is: give a secret of at least 32 bytes, the same in every process, "
            "or use the JSON serializer"
        ),
    ),
    (serialization.RemoteError("shop.Sold", "no more", "Traceback ..."), "shop.Sold: no more"),
    (serialization.RemoteError("shop.Sold"), "shop.Sold"),
]


def every_error() -> list[type[PynencError]]:
    """Every class of the package, but for those that only gather others under one name."""
    modules = [importlib.import_module(f"pynenc_core.errors.{each.name}") for each in pkgutil.iter_modules(pynenc_core.errors.__path__)]
    classes = [cls for module in modules for cls in vars(module).values() if isinstance(cls, type) and issubclass(cls, PynencError)]
    own = {cls for cls in classes if cls.__module__.startswith("pynenc_core.errors.")}
    return sorted((cls for cls in own if not gathers(cls)), key=lambda cls: cls.__qualname__)


def gathers(cls: type[PynencError]) -> bool:
    return bool(cls.__subclasses__()) and "__str__" not in vars(cls)


@pytest.mark.parametrize(
    ("error", "message"), MESSAGES, ids=[f"{number}-{type(error).__name__}" for number, (error, _) in enumerate(MESSAGES)]
)
def test_an_error_says_what_happened_and_comes_back_from_pickle(error: PynencError, message: str) -> None:
    with pytest.raises(type(error)) as raised:
        raise error
    assert str(raised.value) == message
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own object, pickled on this line
    assert (type(copy), str(copy), copy.fields()) == (type(error), message, error.fields())
    rebuilt = type(error)(**error.fields())
    assert str(rebuilt) == message


@pytest.mark.parametrize("cls", every_error(), ids=lambda cls: cls.__name__)
def test_every_error_has_its_message_pinned(cls: type[PynencError]) -> None:
    assert any(type(error) is cls for error, _ in MESSAGES), f"add {cls.__module__}.{cls.__name__} to MESSAGES, once for each of its forms"
    assert "__str__" in vars(cls), "an error makes its own message"


def test_the_fields_of_an_error_are_plain() -> None:
    plain = (str, int, float, bool, type(None))
    for error, _ in MESSAGES:
        for name, value in error.fields().items():
            values = value if isinstance(value, tuple) else (value,)
            assert all(isinstance(each, plain) for each in values), f"{type(error).__name__}.{name}"


def test_every_error_is_raised_somewhere() -> None:
    folders = [ROOT / "pynenc_core", *(ROOT / "plugins").glob("*/src")]
    files = [path for folder in folders for path in folder.rglob("*.py") if path.parent != ROOT / "pynenc_core" / "errors"]
    used = {name for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for name in made(node)}
    gathered = {cls.__name__ for cls in every_error() if cls.__subclasses__()}
    assert {cls.__name__ for cls in every_error()} - used - gathered - FOR_PLUGINS == set()


def made(node: ast.AST) -> list[str]:
    """The classes that a node calls, raises, or keeps in a table for somebody who does."""
    found: list[ast.expr | None] = []
    match node:
        case ast.Call():
            found = [node.func]
        case ast.Raise():
            found = [node.exc]
        case ast.Dict():
            found = [*node.values]
        case ast.Tuple() | ast.List():
            found = [*node.elts]
        case ast.IfExp():
            found = [node.body, node.orelse]
        case _:
            pass
    return [ast.unparse(each).rpartition(".")[2] for each in found if isinstance(each, ast.Name | ast.Attribute)]


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("i1", "RUNNING"), {}), (("i1", "RUNNING", 1.0, "more"), {}), (("i1", "RUNNING", 1.0), {"status": "PAUSED"})],
    ids=["nothing", "too-few", "too-many", "twice"],
)
def test_an_error_is_built_from_exactly_its_fields(args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"InvocationTimeoutError\(invocation_id, status, timeout\) was given"):
        invocations.InvocationTimeoutError(*args, **kwargs)  # type: ignore[arg-type]  # that is the point


def test_an_error_is_also_what_python_would_raise() -> None:
    assert isinstance(invocations.InvocationTimeoutError("i1", "RUNNING", 1.0), TimeoutError)
    assert isinstance(serialization.ArgumentBindingError(*ARGUMENT, "missing"), TypeError)
    assert isinstance(builder.UnknownBuilderMethodError("x", ()), AttributeError)
    assert isinstance(plugins.ManagerNotPicklableError(), TypeError)


def test_an_error_of_somebody_else_needs_no_fields() -> None:
    class ShopError(PynencError):
        pass

    assert (str(ShopError("sold out", 3)), ShopError("sold out").fields()) == ("('sold out', 3)", {})
    assert repr(invocations.RetryError("busy")) == "RetryError(reason='busy', delay=None)"
