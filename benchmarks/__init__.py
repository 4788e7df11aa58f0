"""Benchmarks: the whole server over loopback, beside its peers in the same run.

`python -m benchmarks [name ...]` (or `make bench`) runs them; README.md says what each one does.
One module a benchmark, each with `run`, which yields figures. Exports: csv_throughput, textbook,
first_byte, memory, hub_lag, served_again; data: the tables; client: the downloads. Live feeds:
fan_out, idle_connections, tick, replay; load: the process that publishes and listens (load_tasks,
with crowd, websocket, tally, steps, climb, ticks and posts). server, peers: the processes that are
measured. machine, results: the machine of a run, and its figures.
"""
