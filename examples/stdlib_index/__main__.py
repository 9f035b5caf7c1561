"""Index the standard library by a tree of tasks, and check the result: `python -m stdlib_index`."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pynenc_core import Invocation, PynencError
from pynenc_core.model import Query
from pynenc_core.status import FINAL
from stdlib_index.counting import Index, count_one_by_one, library, walk
from stdlib_index.report import Progress, index_table, shares, shares_table
from stdlib_index.running import APP, RunnerFailedError, Running, pynenc_command, runner_process, runner_thread
from stdlib_index.tasks import app, index_package

_LOOK = 0.2  # seconds between two looks at the progress


def main() -> int:
    """Run the demonstration; return 0, or 1 when the tree of tasks and the plain computation disagree or something failed."""
    parser = argparse.ArgumentParser(prog="python -m stdlib_index", description=__doc__)
    parser.add_argument("--backend", choices=("sqlite", "memory"), default="sqlite", help="where everything is stored (default: sqlite)")
    parser.add_argument("--runner", help="what executes (default: persistent-process; thread with --backend memory)")
    parser.add_argument("--package", default="", help='one package of the library, such as "json" (default: all)')
    chosen = parser.parse_args()
    in_memory = chosen.backend == "memory"
    runner = chosen.runner or ("thread" if in_memory else "persistent-process")
    if not (library() / chosen.package).is_dir():
        parser.error(f"the library has no package {chosen.package!r}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: with the runner stopped
    try:
        return _demonstrate(chosen.package, runner, in_memory=in_memory)
    except KeyboardInterrupt:
        print("\ninterrupted; the runner is stopped")
        return 130
    except (PynencError, RunnerFailedError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    finally:
        app.close()


def _demonstrate(package: str, runner: str, *, in_memory: bool) -> int:
    if in_memory:
        app.conf.app.url = "memory://"
    app.purge()  # what an earlier demonstration left here
    print(f"library   {library() / package}")
    print(f"store     {'memory' if in_memory else Path('.pynenc', f'{app.app_id}.db').absolute()}")
    print(f"runner    {runner}, {'in a thread of this process' if in_memory else 'in a process of its own'}\n")
    with runner_thread(app, runner) if in_memory else runner_process(runner) as running:
        began = time.monotonic()
        root = index_package(package)
        index = _follow(root, package, running)
        took = time.monotonic() - began
    print(f"\n{index_table(index)}\n")
    _tell_where()
    began = time.monotonic()
    plain = count_one_by_one(package)
    took_plain = time.monotonic() - began
    print(f"\nthe tree of tasks took {took:.1f} s from the call to the result, counting one file after the other {took_plain:.1f} s")
    if index != plain:
        print(f"the results DIFFER; one after the other:\n{index_table(plain)}", file=sys.stderr)
        return 1
    print("both results are equal")
    _tell_next(root, in_memory=in_memory)
    return 0


def _follow(root: Invocation[Index], package: str, running: Running) -> Index:
    """Show the progress until the root has its result; return that."""
    progress = Progress(sum(1 + len(folder.modules) for folder in walk(package)))
    try:
        while not app.wait([root], timeout=_LOOK)[0]:
            progress.show(app.orchestrator.count_invocations(statuses=FINAL))
            running.check()
        progress.show(app.orchestrator.count_invocations(statuses=FINAL))
    except KeyboardInterrupt:
        root.cancel("the demonstration was interrupted")
        raise
    finally:
        progress.end()
    return root.get_result()


def _tell_where() -> None:
    """Print which process ran how many invocations, and for how long."""
    records = app.orchestrator.iterate(Query(statuses=FINAL))
    print(shares_table(shares((record.invocation.task_id, app.get_invocation(record.invocation_id).history) for record in records)))


def _tell_next(root: Invocation[Index], *, in_memory: bool) -> None:
    if in_memory:
        print("\nthe records went with the memory of this process; without BACKEND=memory they stay, and the command line shows them")
        return
    commands: Sequence[Sequence[str]] = (
        ("invocation", "list", "--limit", "10"),
        ("invocation", "show", root.invocation_id),
        ("doctor",),
        ("config", "show", "--origin"),
        ("plugins", "list"),
    )
    print("\nthe store remains; look at it, from this folder:")
    for command in commands:
        print("  " + shlex.join([*pynenc_command(), "--app", APP, *command]))


if __name__ == "__main__":
    sys.exit(main())
