"""Pure bytes and text: what HTTP and our own names look like. No Flask, no files, no sockets.

formats: which formats there are. ranges, multipart: byte ranges of a representation. validators:
ETags, conditional requests, digests. filenames: Content-Disposition. hosts: the names by which the
server is called. addresses: by what clients are counted. cursors: positions as text.
connection: the contract of what the worker hands to the application. entry: settings and catalogue,
read with all that is wrong. nearest: the known name that a wrong one may stand for.
"""
