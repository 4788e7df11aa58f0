"""Producers: what fills journals.

exports: the export runner: a queue, a bounded number recorded at once, sharing, states, and what
is kept. recorders: this side of the recording processes. recorder: the program that they run.
recording: one export, from rows to the bytes of a journal. statement_watch: breaks off what takes
too long. Knows no Flask and no green library.
"""
