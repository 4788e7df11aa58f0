"""Pure bytes and text: the syntax of HTTP, of events and of archives. No Flask, files or sockets.

Requests. hosts: Host fields and request targets. addresses: clients by address. parameters,
nearest: query parameters, and hints for misspelt ones. ranges, multipart: byte ranges. validators:
ETags and conditional requests. digests: Repr-Digest. filenames: Content-Disposition. charsets,
media: charsets and media types of files. formats: the formats of exports. Events. events: an event
as a line. cursors, since: positions of readers as text. framing: events as NDJSON and SSE.
log_lines, log_framing: lines of logs as events, and as text. Archives. zip: the bytes of a ZIP
around its members. errors: what text can be wrong.
Of the server. connection: the contract of the worker's connections. entry: settings and the
catalogue, read with all their problems.
"""
