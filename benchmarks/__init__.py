"""Benchmarks: the whole server over loopback, beside its peers in the same run.

`python -m benchmarks [name ...]` (or `make bench`) runs them; README.md says what each one does.
One module a benchmark: csv_throughput, textbook, first_byte, memory, hub_lag, served_again; each
has `run`, which yields figures. data: the tables that are exported. server, peers: the
processes that are measured. client: who downloads. machine, results: where, and what came of it.
"""
