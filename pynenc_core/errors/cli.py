"""What may go wrong on the command line before an app does anything: finding it, and reading what was asked."""

from __future__ import annotations

from pynenc_core.errors.base import PynencError

_NAME_IT = "name one with `pynenc --app module:attribute ...`"


class UsageError(PynencError):
    """What was typed cannot be carried out; the exit code is 2."""


class NoAppFoundError(UsageError):
    """No app was named, and none is made in a file of the current directory."""

    folder: str
    looked_at: tuple[str, ...] = ()
    """The files that speak of this package and have no app at their top."""

    def __str__(self) -> str:
        seen = f" (no app at the top of {', '.join(self.looked_at)})" if self.looked_at else ""
        return f"no file in {self.folder} makes an app{seen}; {_NAME_IT}, or go where your app is"


class SeveralAppsFoundError(UsageError):
    """No app was named, and there are several to choose from."""

    place: str
    found: tuple[str, ...]

    def __str__(self) -> str:
        return f"there are several apps in {self.place}: {', '.join(self.found)}; {_NAME_IT}"


class AppNotFoundError(UsageError):
    """The app that was named is not there."""

    locator: str
    problem: str

    def __str__(self) -> str:
        return f"--app {self.locator}: {self.problem}; write it as module:attribute, and start where that module can be imported"


class AppModuleError(PynencError):
    """The module of the app raised when it was imported: the mistake is in it, at the place named."""

    module: str
    problem: str
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}: " if self.file else ""
        return f"module {self.module!r} cannot be imported: {place}{self.problem}; `pynenc --debug ...` shows the whole traceback"


class UnknownTaskNameError(UsageError):
    """A short name of a task that fits several."""

    name: str
    fitting: tuple[str, ...]

    def __str__(self) -> str:
        return f"--task {self.name} may be any of {', '.join(self.fitting)}; write more of it"


class CommandTypeError(PynencError):
    """A plugin's command is none."""

    command: str
    target: str

    def __str__(self) -> str:
        return (
            f"the plugin that offers the command {self.command!r} names {self.target!r} for it, which is no click command; tell its author"
        )


class ReloadUnavailableError(UsageError):
    """`--reload` was asked for, and source files cannot be watched."""

    problem: str
    hint: str = 'pip install "pynenc-core[reload]"'

    def __str__(self) -> str:
        return f"--reload cannot watch for changes: {self.problem}; {self.hint}"


class HealthPortError(UsageError):
    """The port of `--health-port` cannot be opened."""

    host: str
    port: int
    problem: str

    def __str__(self) -> str:
        return (
            f"--health-port {self.port} cannot be opened on {self.host}: {self.problem}; "
            "choose another port (0 takes any that is free) or another --health-host"
        )
