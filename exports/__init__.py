"""Exports are rows or a folder, recorded once and read by any number of clients.

service: all that streaming/ and sockets/ use, with its arguments and errors. exports: the kind of
it that records in processes of this machine.
spec, spec_reader: what a client wants to have, and how a request becomes that. definitions: how the
catalogue defines it, and which principals see the same rows. export: one export and its states.
registry, index: which exports are remembered, and how they are found. retention, idle: which are
discarded or forgotten, and in what order. forgotten: the addresses of those. readers: those that
read one.
runner: has exports recorded. schedule, fair_queue: which is next, and whose. recorders: this side
of the recording processes. job: what one is to do. recorder: the program that they run. recording:
one export, from rows to bytes. trial: a recording that ends unless it is short.
recording_store: what every store of recordings promises. disk_store: the disk. state_records: the
records of exports in state.db. work_queue: what a disk does later.
chain, resumption: digests of beginnings, and which export a bare Range goes on with.
announcer: what becomes of exports, as events. errors: what can go wrong.
Knows no Flask and no green library.
"""
