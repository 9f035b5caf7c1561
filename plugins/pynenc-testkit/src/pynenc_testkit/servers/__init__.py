"""Servers that tests start for themselves and end by process id, on free ports."""
