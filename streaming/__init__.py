"""Blueprints that answer HTTP requests. Never imports `sockets`; knows no green library.

Blueprints. home: the first page. sources, source_page: the sources, and the page of each. exports:
downloads and background exports. original: the downloads of the original contract. report, figures:
the report of a source. files, listings, archives: folders. logs, log_search: logs. events, feed,
uploads: topics. login, links: log-in and signed links. health: liveness and metrics. openapi: the
description of the interface. What they share. application: Flask, faster for many requests.
admission: the request's principal. errors: the one JSON shape of errors. source_lookup, inquiries:
sources and folders by name, and questions to databases. answers, resumption: an export's bytes as a
response. content, bodies, pace: other responses that stream. pages: a page or JSON. rights: who may
see an export. presence: whether the client is still there. policies: what all responses
have. registration: the way in.
"""
