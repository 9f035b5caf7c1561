"""The same no-op task by other task queues over the same Redis server: `make bench PEERS=1`.

`compare` runs all of it. Each peer is one module, `<peer>_jobs`, which is imported in an environment of the peer's own, by `measure` and by
the peer's workers. It has

* `DISTRIBUTIONS`: whose versions are printed;
* `WORKERS`: how many processes and threads, to the commands that start them, or none where the peer has no such thing;
* `enqueue(numbers)`: sends a task for each number, one after the other, and returns what their results are asked for by;
* `fetch(sent, look)`: waits for the results, in order, and returns them; who can only look, looks every `look` seconds.

The task returns its number, when it ran, and in which process.
"""
