"""Runs the blocks of one page in a project of its own, as a reader would: in order, in one folder."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import attrs

from docs.pages import ROOT, Block, Role
from pynenc_testkit.servers.redis import binary

_SHELL = "/bin/sh"
_AT_MOST = 60.0  # seconds for one command
_STOP = 40.0
_READY = (b" starts, with ", b"eady to accept connections")
"""What a runner logs when it may be stopped cleanly, and what a redis-server does."""
_SERVER = re.compile(r"^redis-server ")
_RUNNER = re.compile(rf"\brunner start\b|{_SERVER.pattern}")


@attrs.frozen
class Command:
    """One line of a console block, and what is shown below it."""

    line: str
    shown: str


def commands(text: str) -> Iterator[Command]:
    """Yield the lines that begin with "$ ", joined where they end in a backslash, each with the output shown below it."""
    line, shown = "", list[str]()
    for row in text.splitlines():
        if line.endswith("\\"):
            line = line[:-1].rstrip() + " " + row.strip()
        elif row.startswith("$ "):
            if line:
                yield Command(line, "\n".join(shown))
            line, shown = row[2:], []
        else:
            assert line, f"output without a command: {row!r}"
            shown.append(row)
    if line:
        yield Command(line, "\n".join(shown))


def matches(shown: str, printed: str) -> bool:
    """Return whether what is shown was printed, in whole lines: "..." stands for anything, blanks count as one."""
    parts = [re.escape(" ".join(part.split())) for part in shown.split("...")]
    return re.search(r"(?:^|\s)" + ".*".join(parts) + r"(?:\s|$)", " ".join(printed.split()), re.DOTALL) is not None


class Project:
    """A folder in which the blocks of one page run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._background: list[tuple[Block, subprocess.Popen[bytes], Path]] = []
        self._printed = ""

    def run(self, block: Block) -> None:
        """Write, run or check one block; raises AssertionError, naming its place, where it does not do what is shown."""
        if block.role is Role.NOT_RUN:
            return
        if block.role is Role.FILE:
            path = self.folder / block.detail
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            if block.language == "toml" and (path.name != "pyproject.toml" or "[tool.pynenc" in block.text):
                self._check_toml(block)
        elif block.role is Role.BACKGROUND:
            self._start(block, next(commands(block.text)).line)
        elif block.role is Role.OUTPUT:
            assert matches(block.text, self._printed), (
                f"{block.place}: this is shown:\n{block.text}\nand this was printed:\n{self._printed}"
            )
        elif block.language == "python":
            self._printed = self._execute(block, [sys.executable, "-W", "error", "-c", block.text], block.text)
        elif block.language == "console":
            for command in commands(block.text):
                self._command(block, command)
        elif block.language == "toml":
            self._check_toml(block)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        """Stop what runs in the background as Ctrl-C does; it must end with exit code 0."""
        problems = []
        for block, process, log in reversed(self._background):  # a runner before the server that it works over
            if failed:
                process.kill()
            else:
                process.send_signal(signal.SIGINT)
            try:
                code = process.wait(_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            if code != 0:
                problems.append(f"{block.place}: ended with {code}:\n{log.read_text(errors='replace')[-3000:]}")
        assert failed or not problems, "\n".join(problems)

    def _command(self, block: Block, command: Command) -> None:
        if command.line.startswith(("pip install ", "make ", ".venv/")):
            _check_only(block, command.line)
            return
        if _SERVER.match(command.line):
            binary()  # which sees to it that there is one
        if _RUNNER.search(command.line) and block.role is not Role.FAILS:
            self._start(block, command.line)
            return
        self._printed = self._execute(block, [_SHELL, "-c", command.line], command.line)
        self._compare(block, command.shown)

    def _compare(self, block: Block, shown: str) -> None:
        assert matches(shown, self._printed), f"{block.place}: this is shown:\n{shown}\nand this was printed:\n{self._printed}"

    def _execute(self, block: Block, command: list[str], shown: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=reader_environment(), capture_output=True, text=True, timeout=_AT_MOST, check=False
        )
        said = f"{done.stdout}\n{done.stderr}{self._logs()}"
        assert done.returncode == (int(block.detail) if block.role is Role.FAILS else 0), (
            f"{block.place}: exit code {done.returncode} of\n{shown}\n{said}"
        )
        return done.stdout + done.stderr

    def _start(self, block: Block, line: str) -> None:
        log = self.folder / f".background-{len(self._background)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [_SHELL, "-c", f"exec {line}"], cwd=self.folder, env=reader_environment(), stdout=output, stderr=output
            )
        self._background.append((block, process, log))
        deadline = time.monotonic() + _AT_MOST
        while not any(each in log.read_bytes() for each in _READY) and process.poll() is None and time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        assert process.poll() is None, f"{block.place}: `{line}` has ended:\n{log.read_text(errors='replace')}"

    def _logs(self) -> str:
        return "".join(f"\n{log.name}:\n{log.read_text(errors='replace')[-3000:]}" for _, _, log in self._background)

    def _check_toml(self, block: Block) -> None:
        """A TOML block is a configuration that the core and the installed plugins accept."""
        content = tomllib.loads(block.text)
        path = self.folder / "checked.toml"
        path.write_text(block.text, encoding="utf-8")
        code = "from pynenc_core import Pynenc; Pynenc(config_filepath='checked.toml')"
        self._execute(block, [sys.executable, "-c", code], block.text)
        path.unlink()
        assert content, f"{block.place}: it says nothing"


def reader_environment() -> dict[str, str]:
    """What a reader has: the environment's programs on the path, nothing of ours in variables."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYNENC", "PYTHON"))}
    return {**env, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', '')}"}


def _check_only(block: Block, line: str) -> None:
    """What installs or builds is not done here: what it names must exist."""
    words = line.replace('"', "").split()
    if words[0] == "pip":
        known = {
            tomllib.loads(path.read_text())["project"]["name"] for path in (ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml"))
        }
        named = {re.split(r"[\[<>=]", word)[0] for word in words[2:] if not word.startswith("-")}
        assert named - {"."} <= known, f"{block.place}: nothing here is named {', '.join(sorted(named - known))}"
    if words[0].startswith(".venv/"):
        lost = [word for word in words[1 : words.index("#") if "#" in words else None] if not (ROOT / word).exists()]
        assert not lost, f"{block.place}: there is no {', '.join(lost)}"
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text()
        target = next((word for word in words[1:] if "=" not in word and not word.startswith("#")), "")
        assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"{block.place}: make has no target {target!r}"
        for name in re.findall(r"\b([A-Z]+)=", line):
            assert re.search(rf"^{name} \?=|\$\({name}\)", makefile, re.MULTILINE), f"{block.place}: the Makefile reads no {name}"
