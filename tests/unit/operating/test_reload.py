"""`pynenc runner start --reload`."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from pynenc_core.cli import reload
from pynenc_core.cli.reload import Reloading
from pynenc_core.cli.supervised import folders_of
from pynenc_core.errors.cli import ReloadUnavailableError
from unit.app.running import eventually
from unit.operating.operated import START, Place, ended, watched_end

WAITS = "it starts again when a file changes"
NEVER_IMPORTED = """
import os, time
from pathlib import Path
Path("pid").write_text(str(os.getpid()))
Path("ready").touch()
time.sleep(1000)
"""


def test_what_is_edited_runs_and_a_syntax_error_is_waited_out(place: Place) -> None:
    with place.running("--reload") as run, place.client() as jobs:
        assert jobs.value().get_result(START) == 1
        place.edit("jobs.py", "return 1", "return 2")
        run.says("reload: jobs.py changed; the runner starts anew")
        run.says(" starts, with ", 2)
        assert jobs.value().get_result(START) == 2

        place.edit("jobs.py", "def value()", "def value(")
        run.says(f"reload: the runner ended with exit code 1; {WAITS}")
        place.edit("jobs.py", "def value(", "def value()")
        run.says(" starts, with ", 3)
        place.edit("jobs.py", "return 2", "return 3")
        run.says(" starts, with ", 4)
        assert jobs.value().get_result(START) == 3
        assert run.told.count(WAITS) == 1, "it is not tried again and again"
        assert "SyntaxError" in run.told
        assert "Traceback" not in run.told

        child = jobs.pid().get_result(START)
        assert child != run.process.pid
        with watched_end(child) as descriptor:
            assert run.stop() == 0
            assert ended(descriptor, 0)


@pytest.mark.parametrize("runner", ["thread", "persistent-process"])
def test_nothing_is_left_of_a_supervisor_that_is_killed(place: Place, runner: str) -> None:
    with place.running("--reload", runner=runner) as run, place.client() as jobs:
        with watched_end(jobs.pid().get_result(START)) as descriptor:
            run.process.kill()
            assert ended(descriptor)
        eventually(lambda: " has stopped" in run.told, "the runner's farewell", START)


def test_nor_is_a_runner_left_that_was_still_starting(place: Place) -> None:
    place.write("jobs.py", NEVER_IMPORTED)
    with place.running("--reload") as run:
        eventually((place.folder / "ready").exists, "the import", START)
        with watched_end(int((place.folder / "pid").read_text())) as descriptor:
            run.process.kill()
            assert ended(descriptor)


def test_a_second_signal_is_passed_on(place: Place) -> None:
    with place.running("--reload") as run, place.client() as jobs:
        invocation = jobs.until(str(place.folder / "never"))
        eventually((place.folder / "never.begun").exists, "the task", START)
        run.process.send_signal(signal.SIGTERM)
        run.says(" stops: sigterm")
        assert run.stop() == 0
        assert invocation.status == "REROUTED"


def test_ctrl_c_lets_what_runs_end_though_the_terminal_tells_every_process(place: Place) -> None:
    with place.running("--reload") as run, place.client() as jobs:
        invocation = jobs.until(str(place.folder / "soon"))
        eventually((place.folder / "soon.begun").exists, "the task", START)
        os.killpg(run.process.pid, signal.SIGINT)
        run.says(" stops: sigterm")
        (place.folder / "soon").touch()
        assert run.process.wait(START) == 0
        assert (invocation.status, invocation.get_result(START)) == ("SUCCESS", "done")


def test_a_runner_that_ends_by_itself_is_started_again_by_a_change_only(place: Place) -> None:
    with place.running("--reload") as run, place.client() as jobs:
        os.kill(jobs.pid().get_result(START), signal.SIGKILL)
        run.says(f"reload: the runner was killed by SIGKILL; {WAITS}")
        place.edit("jobs.py", "return 1", "return 2")
        run.says(" starts, with ", 2)
        assert run.stop() == 0


def test_a_runner_that_does_not_end_in_its_time_is_killed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "_GRACE", 0.1)
    monkeypatch.setattr(reload, "_AFTER_GRACE", 0.1)
    told = list[str]()
    monkeypatch.setattr(reload, "_say", told.append)
    monkeypatch.chdir(place.folder)
    place.write("jobs.py", f"import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n{NEVER_IMPORTED}")
    supervisor, codes = Reloading(("--app", "jobs:app", "runner", "start"), [place.folder]), list[int]()
    thread = threading.Thread(target=lambda: codes.append(supervisor.run()))
    thread.start()  # not the main thread: signals are left alone, and the test says what they would
    try:
        eventually((place.folder / "ready").exists, "the import", START)
        (place.folder / "ready").unlink()
        place.write("jobs.py", NEVER_IMPORTED)
        eventually((place.folder / "ready").exists, "the second one", START)
        assert told[1:] == ["jobs.py changed; the runner starts anew", "the runner did not end within 0.2 s; it is killed"]
    finally:
        supervisor._note_stop(signal.SIGTERM)
        supervisor._news.put(reload._News("signal"))
        thread.join(START)
    assert codes == [0]


def test_modules_of_tasks_elsewhere_are_watched_and_named_folders(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere, named = tmp_path_factory.mktemp("elsewhere"), tmp_path_factory.mktemp("named")
    (elsewhere / "tools").mkdir()
    (elsewhere / "tools" / "__init__.py").touch()
    place.edit("jobs.py", 'app_id="shop"', 'app_id="shop", task_modules=("tools.more",)')
    environ = {"PYTHONPATH": str(elsewhere), "PYNENC__LOGGING_LEVEL": "error"}
    with place.running("--reload-dir", str(named), **environ) as run, place.client() as jobs:
        run.says(f"reload: watching {place.folder}, {named}")
        run.says(f"reload: watching {elsewhere / 'tools'}")
        assert jobs.value().get_result(START) == 1
        (elsewhere / "tools" / "more.py").touch()
        run.says("more.py changed; the runner starts anew")
        assert jobs.value().get_result(START) == 1
        (named / "notes.txt").touch()  # no source
        (named / "settings.py").touch()
        run.says("settings.py changed; the runner starts anew")
        assert "notes.txt" not in run.told
        assert run.stop() == 0


def test_what_can_never_run_is_not_waited_for(place: Place) -> None:
    with place.running("--reload", "--app", "jobs:nothing") as run:
        assert run.process.wait(START) == 2
        assert "--app jobs:nothing: module 'jobs' has no 'nothing'" in run.told


def test_nor_is_a_port_that_is_taken(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with place.running("--reload", "--health-port", str(port)) as run:
            assert run.process.wait(START) == 2
            assert f"--health-port {port} cannot be opened" in run.told


def test_a_platform_without_the_signals_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "pthread_sigmask")
    with pytest.raises(ReloadUnavailableError, match="no POSIX signals"):
        Reloading((), ()).run()


def test_too_many_folders_are_told_of_with_the_way_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("watchfiles.watch", full)
    with pytest.raises(ReloadUnavailableError, match=r"No space left on device; raise fs\.inotify\.max_user_watches"):
        Reloading((), [place.folder]).run()


def test_without_the_library_the_extra_is_named(place: Place) -> None:
    place.write("absent/watchfiles.py", "raise ModuleNotFoundError(\"No module named 'watchfiles'\", name='watchfiles')")
    with place.running("--reload", PYTHONPATH=str(place.folder / "absent")) as run:
        assert run.process.wait(START) == 2
        told = "Error: --reload cannot watch for changes: No module named 'watchfiles'; pip install \"pynenc-core[reload]\"\n"
        assert run.told.endswith(told)


def test_the_folder_of_a_module_is_its_own_or_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("alone.py", "package/__init__.py", "package/inner/deep.py", "spread/part.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert folders_of(["alone"]) == [tmp_path]
    assert folders_of(["package.inner.deep", "package"]) == [tmp_path / "package"]
    assert folders_of(["spread.part"]) == [tmp_path / "spread"]
    assert folders_of(["nowhere", "", "__main__x", "sys"]) == []
