"""What may go wrong with settings: their names, their values, the files they stand in.

In all of them `origin` says where a setting was found, as in "environment variable PYNENC__APP_ID"; no message shows
a value that may be secret.
"""

from __future__ import annotations

from pynenc_core.errors.base import PynencError


class ConfigurationError(PynencError):
    """Something about the configuration."""


class UnknownSettingError(ConfigurationError):
    """A key that nothing reads."""

    origin: str
    key: str
    near: tuple[str, ...] = ()
    """What may have been meant, written as it would have to stand at the origin."""
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = f"{self.origin}: no setting is named {self.key!r}"
        if self.near:
            return f"{text}; did you mean {' or '.join(self.near)}?"
        return f"{text}; known here: {', '.join(self.known)}" if self.known else f"{text}; `pynenc config show` lists all"


class UnknownSectionError(ConfigurationError):
    """A section that neither the core nor an installed plugin reads."""

    origin: str
    section: str
    near: str = ""
    known: tuple[str, ...] = ()

    def __str__(self) -> str:
        meant = f"did you mean {self.near!r}? Else " if self.near else ""
        return (
            f"{self.origin}: nothing reads the section {self.section!r}; {meant}install the plugin that brings it, or remove it; "
            f"sections here: {', '.join(self.known)}"
        )


class InvalidSettingError(ConfigurationError):
    """A value that does not fit its setting."""

    origin: str
    key: str
    problem: str
    shown: str = ""
    """The value as it may be shown."""

    def __str__(self) -> str:
        value = f" ({self.shown})" if self.shown else ""
        return f"{self.origin}: the value of {self.key}{value} does not fit: {self.problem}"


class SettingsDisagreeError(ConfigurationError):
    """Two settings of which each fits, but not beside the other."""

    origin: str
    key: str
    shown: str
    other: str
    other_shown: str
    advice: str

    def __str__(self) -> str:
        return f"{self.origin}: {self.key} ({self.shown}) does not go with {self.other} ({self.other_shown}): {self.advice}"


class ConfigFileError(ConfigurationError):
    """A configuration file that is missing, unreadable or not in its format."""

    origin: str
    path: str
    problem: str

    def __str__(self) -> str:
        return f"the configuration file {self.path}, named by {self.origin}, cannot be used: {self.problem}"


class SettingsFrozenError(ConfigurationError):
    """A setting was assigned after the app had started and read it."""

    key: str

    def __str__(self) -> str:
        return (
            f"{self.key} cannot be changed now: the app has started and its parts have read their settings; assign it before that, "
            "or use the builder, the environment or a configuration file"
        )


class SettingsClassError(ConfigurationError):
    """A class that cannot be a section: it is not made as `SettingsSection` says."""

    origin: str
    section: str
    problem: str

    def __str__(self) -> str:
        return f"{self.origin} cannot be the section {self.section!r} of the configuration: {self.problem}"
