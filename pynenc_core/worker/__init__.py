"""The main of every child process: `python -m pynenc_core.worker <locator>`, told the rest over the socket that is its standard input.

With the first byte comes the descriptor of its gauge, then a line with a `WorkerStart`; then come lines of control, and it
answers with lines of its own: `ports.control`. When the socket ends, the parent is gone: what runs is handed back at once.
"""
