"""Tells of runners: why one stops and in which state, how a process ended, who lives."""
