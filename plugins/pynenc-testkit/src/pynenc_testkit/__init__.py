"""Contracts that any backend, runner or plugin can be tested against."""
