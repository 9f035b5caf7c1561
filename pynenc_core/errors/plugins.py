"""What may go wrong with plugins: finding, loading, calling and choosing them.

In all of them `distribution` is the installed package and its version, as in "shop-plugin 1.2", so that the reader knows
what to upgrade or to uninstall.
"""

from __future__ import annotations

from pynenc_core.errors.base import PynencError

_CHECK = "`pynenc plugins check` lists what is wrong"


class PluginError(PynencError):
    """Something about one plugin, named by its entry point and the distribution that brings it."""

    plugin: str
    distribution: str

    def __str__(self) -> str:
        return f"{self.who()} does not work; {_CHECK}"

    def who(self) -> str:
        """Return the plugin and its distribution, as every message of this family begins."""
        return f"plugin {self.plugin!r} from {self.distribution}"


class PluginLoadError(PluginError):
    """The plugin's module could not be imported or registered."""

    problem: str

    def __str__(self) -> str:
        return (
            f"{self.who()} could not be loaded: {self.problem}; "
            f"upgrade or uninstall it, or leave it out with PYNENC_DISABLE_PLUGINS={self.plugin}"
        )


class PluginHookNameError(PluginError):
    """The plugin implements a hook that does not exist, or one that would never be called."""

    hook: str
    problem: str

    def __str__(self) -> str:
        return f"{self.who()} has a function {self.hook!r} that would never be called: {self.problem}"


class PluginHookError(PluginError):
    """The plugin's implementation of a hook raised."""

    hook: str
    problem: str

    def __str__(self) -> str:
        return f"{self.who()} failed in its hook {self.hook!r}: {self.problem}"


class PluginResultError(PluginError):
    """The plugin's implementation of a hook returned something else than the hook promises."""

    hook: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.who()} returned {self.got} from its hook {self.hook!r}, which must return {self.expected}"


class PluginApiError(PluginError):
    """The plugin was written for another version of the plugin API."""

    provides: str
    api: int
    core_api: int

    def __str__(self) -> str:
        older = self.api < self.core_api
        way_out = "upgrade the plugin" if older else "upgrade pynenc-core"
        return (
            f"{self.who()} brings {self.provides} for version {self.api} of the plugin API, "
            f"and this core speaks version {self.core_api}; {way_out}"
        )


class PluginTargetError(PluginError):
    """What the plugin names as the place of its code cannot be imported or is not what it should be."""

    provides: str
    target: str
    problem: str

    def __str__(self) -> str:
        return f"{self.who()} says that {self.provides} is at {self.target!r}, which cannot be used: {self.problem}"


class PluginConflictError(PynencError):
    """One name is claimed by several plugins, so none of them gets it."""

    kind: str
    name: str
    claimants: tuple[str, ...]
    disable: str = ""
    """The name or names to put into PYNENC_DISABLE_PLUGINS, when disabling is a way out."""

    def __str__(self) -> str:
        way_out = f", or leave one out with PYNENC_DISABLE_PLUGINS={self.disable}" if self.disable else ""
        return f"{self.kind} name {self.name!r} is claimed by {' and '.join(self.claimants)}; uninstall all but one{way_out}"


class UnknownPluginError(PynencError):
    """No installed plugin offers this name."""

    kind: str
    name: str
    installed: tuple[str, ...]
    near: str = ""
    install: str = ""
    """The distribution that would bring it, by the naming rule; empty where the name cannot be part of one."""
    broken: tuple[str, ...] = ()
    """What is wrong with each plugin that could not be loaded: one of them may be the one that was meant."""

    def __str__(self) -> str:
        text = f"no {self.kind} is named {self.name!r}; installed: {', '.join(self.installed) or 'none'}"
        if self.near:
            text += f"; did you mean {self.near!r}?"
        if self.install:
            text += f"{' If not:' if self.near else ';'} pip install {self.install}"
        return text + _notes(self.broken)


class NothingInstalledError(PynencError):
    """The core is installed without any plugin of the kind that is needed."""

    kind: str
    needs: str = ""
    """What was asked of it, as in "that crosses processes"; empty when any would do."""
    installed: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    def __str__(self) -> str:
        wanted = f"{self.kind} {self.needs}".strip()
        text = f'no {wanted} is installed; pip install "pynenc-core[default]"'
        if self.installed:
            text += f", or choose another combination; installed: {', '.join(self.installed)}"
        return text + _notes(self.broken)


class CapabilityError(PynencError):
    """Two components are configured together that cannot work together; each is named as in "runner 'inline'"."""

    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.first} cannot work with {self.second}"


class ProcessesNotCrossedError(CapabilityError):
    """A runner of several processes is configured with a store that only one process sees."""

    runners: tuple[str, ...]
    """The installed runners that stay in one process."""
    backends: tuple[str, ...]
    """The installed backends that cross processes."""

    def __str__(self) -> str:
        return (
            f"{self.first} cannot work with {self.second}: its tasks run in other processes, and what is stored here is seen by one "
            f"process only; runners that stay in one process: {', '.join(self.runners) or 'none installed'}; "
            f"backends that cross processes: {', '.join(self.backends) or 'none installed'}"
        )


class BackendPromiseError(CapabilityError):
    """A backend promises what one of its halves does not keep."""

    capability: str

    def __str__(self) -> str:
        return f"{self.first} says `{self.capability}=True` and its half, {self.second}, says False; tell the plugin's author"


class PluginSnapshotError(PynencError):
    """A child process found other plugins than its parent; it refuses to run."""

    missing: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    executable: str = ""

    def __str__(self) -> str:
        parts = [
            f"{label} {', '.join(names)}"
            for label, names in (("missing here:", self.missing), ("only here:", self.added), ("other version here:", self.changed))
            if names
        ]
        where = f" ({self.executable})" if self.executable else ""
        return (
            f"this process{where} has other plugins than the one that started it: {'; '.join(parts)}; "
            "both must run in one environment that is not changed meanwhile: restart the runner"
        )


class SharedEntryPointsError(PynencError):
    """The public distribution `pynenc`, which uses the same command and entry-point names, is installed here too."""

    distribution: str
    plugins: tuple[str, ...] = ()

    def __str__(self) -> str:
        dropped = f" (not loaded from there: {', '.join(self.plugins)})" if self.plugins else ""
        return (
            f"{self.distribution} is installed in this environment beside pynenc-core; both own the command `pynenc` and the entry-point "
            f"group 'pynenc', so the last one installed has the command{dropped}; pip uninstall pynenc, or use an environment of its own"
        )


class ManagerNotPicklableError(PynencError, TypeError):
    """A plugin manager holds imported modules and stays in its process."""

    def __str__(self) -> str:
        return "a PluginManager cannot be pickled; send its snapshot(), and let the other process make its own manager and check_snapshot()"


def _notes(broken: tuple[str, ...]) -> str:
    return "".join(f"\nnote: {text}" for text in broken)
