"""The command as a whole: help, exit codes, pipes, signals, commands of plugins."""

from __future__ import annotations

import signal
import subprocess
import sys

from unit.cli.project import APP, PATIENCE, Project, without_plugins

CORES_OWN = ["config", "doctor", "invocation", "plugins", "runner", "status"]

COMMAND = """
import click

@click.command()
@click.pass_obj
def greet(session):
    session.emit({"app": session.app.app_id}, lambda: f"hello {session.app.app_id}")

plain = 3
"""

OFFER = """
@hookimpl
def pynenc_commands():
    return [
        CommandSpec(name="greet", summary="Say hello.", target="plug_code:greet"),
        CommandSpec(name="plain", summary="No command.", target="plug_code:plain"),
        CommandSpec(name="doctor", summary="Replaces ours.", target="plug_code:greet"),
    ]
"""


def test_help_lists_every_command(project: Project) -> None:
    text = project.prints("--help", **without_plugins())
    listed = text.partition("Commands:")[2].split("\n\n")[0].strip().splitlines()
    assert [line.split()[0] for line in listed] == CORES_OWN


def test_version(project: Project) -> None:
    assert project.prints("--version").startswith("pynenc-core ")


def test_what_is_not_a_command_is_a_usage_error(project: Project) -> None:
    assert "No such command 'nonsense'" in project.fails(2, "nonsense")
    assert "No such option" in project.fails(2, "status", "render", "--nonsense")


def test_a_plugins_command_is_listed_and_run_with_the_session(project: Project) -> None:
    project.site.module("plug_offer", OFFER)
    project.site.module("plug_code", COMMAND)
    project.site.install("greeter", points={"greeter": "plug_offer"}, group="pynenc")
    project.write("jobs.py", APP)
    assert "Commands of plugins:\n  greet  Say hello.\n  plain  No command.\n" in project.prints("--help")
    assert project.prints("greet") == "hello shop\n"
    assert project.json("--json", "greet") == {"app": "shop"}
    told = project.fails(1, "plain")
    assert (
        told
        == "Error: the plugin that offers the command 'plain' names 'plug_code:plain' for it, which is no click command; tell its author\n"
    )


def test_a_plugin_cannot_replace_a_command_of_the_core_and_the_doctor_says_so(project: Project) -> None:
    project.site.module("plug_offer", OFFER)
    project.site.install("greeter", points={"greeter": "plug_offer"}, group="pynenc")
    done = project.run("doctor")
    assert "greeter 1.0 (plug_code:greet) offers the command 'doctor', which is the core's own; the core's is run" in done.stdout


def test_a_broken_plugin_is_counted_in_the_help_and_breaks_nothing(project: Project) -> None:
    project.site.module("plug_broken", "raise RuntimeError('not today')")
    project.site.install("broken", points={"broken": "plug_broken"}, group="pynenc")
    done = project.run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 plugin does not work; `pynenc plugins check` says why." in done.stdout


def test_a_reader_who_leaves_early_is_no_error(project: Project) -> None:
    process = subprocess.Popen(
        project.command("config", "show"),
        cwd=project.folder,
        env=dict(project.environment()),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read()
    assert (process.wait(PATIENCE), told) == (0, "no app was named and none is here: this is what files and variables say\n")
    process.stderr.close()


def test_a_signal_ends_a_runner_that_is_still_starting_with_exit_code_0(project: Project) -> None:
    """The app's module is the last thing before the stores: it sends the signals, as an operator might at that moment."""
    for number in (signal.SIGTERM, signal.SIGINT):
        project.write("jobs.py", f"import os\nos.kill(os.getpid(), {int(number)})\nprint('went on', flush=True)\n{APP}")
        done = project.run("runner", "start")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


PLAIN = """
from pynenc_core.ports.executor_runner import ExecutorRunner

class Plain(ExecutorRunner):
    def __init__(self, *args):
        pass

    @property
    def max_parallel_slots(self):
        return 1

    def run(self):
        print("ran", flush=True)
"""
PLAIN_OFFER = """
@hookimpl
def pynenc_runners():
    return [RunnerSpec(name="plain", target="plug_runner:Plain", mem_compatible=True)]

@hookimpl
def pynenc_brokers():
    return [BrokerSpec(name="void", target="plug_runner:Plain")]

@hookimpl
def pynenc_state_backends():
    return [StateBackendSpec(name="void", target="plug_runner:Plain")]

@hookimpl
def pynenc_backends():
    return [BackendSpec(name="void", schemes=("void",), broker="void", state_backend="void")]
"""
START_PLAIN = ("--app", "jobs:app", "runner", "start", "--runner", "plain")
OVER_VOID = APP.replace('app_id="shop"', '"void://", app_id="shop"')


def offer_plain(project: Project, runner: str = PLAIN) -> None:
    """Install a runner that only says that it ran, and a backend to go with it."""
    project.site.module("plug_runner", runner)
    project.site.module("plug_offer", PLAIN_OFFER)
    project.site.install("plain", points={"plain": "plug_offer"}, group="pynenc")


def test_a_stop_that_somebody_swallowed_is_remembered(project: Project) -> None:
    caught = "import os\ntry:\n    os.kill(os.getpid(), 15)\nexcept BaseException:\n    print('caught', flush=True)\n"
    offer_plain(project)
    project.write("jobs.py", OVER_VOID)
    assert project.prints(*START_PLAIN) == "ran\n"
    project.write("jobs.py", caught + OVER_VOID)
    assert project.prints(*START_PLAIN) == "caught\n"


def test_what_tasks_have_left_does_not_hold_up_the_exit_of_a_runner(project: Project) -> None:
    leaving = "        threading.Thread(target=threading.Event().wait).start()\n        atexit.register(print, 'bye')\n"
    offer_plain(project, f"import atexit\nimport threading\n{PLAIN}{leaving}")
    project.write("jobs.py", OVER_VOID)
    assert project.prints(*START_PLAIN) == "ran\nbye\n"


def test_an_interrupted_command_ends_as_shells_expect(project: Project) -> None:
    project.write("jobs.py", f"raise KeyboardInterrupt\n{APP}")
    done = project.run("invocation", "list")
    assert (done.returncode, done.stderr) == (130, "")


def test_the_console_script_is_the_same_command(project: Project) -> None:
    code = "from importlib.metadata import entry_points as p; [e] = p(group='console_scripts', name='pynenc'); e.load()(['--version'])"
    done = subprocess.run([sys.executable, "-c", code], env=dict(project.environment()), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, project.prints("--version"))


def test_output_that_is_closed_or_full_is_no_traceback() -> None:
    command = [sys.executable, "-m", "pynenc_core.cli", "status", "render"]
    closed = subprocess.run(["/bin/sh", "-c", 'exec "$@" >&-', "sh", *command], capture_output=True, text=True, check=False)
    assert (closed.returncode, closed.stderr) == (0, "")
    full = subprocess.run(["/bin/sh", "-c", 'exec "$@" >/dev/full', "sh", *command], capture_output=True, text=True, check=False)
    assert (full.returncode, full.stderr) == (1, "Error: the output cannot be written: No space left on device\n")
