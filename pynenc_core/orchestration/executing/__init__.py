"""Runs invocations in the slots of one process: claims them, runs their code, lets them wait, ends them in time, settles."""
