"""HTTP: blueprints that turn requests into orders and journals into answers.

textbook: the two downloads everybody starts with. sources: what can be had. exports: downloads and
prepared exports. home: the page. orders: a request as an order. answers: an export's bytes as a
response. errors: the one JSON shape. Imports `sockets` never; knows no green library.
"""
