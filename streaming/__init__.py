"""HTTP: blueprints that turn requests into export specs and recordings into answers.

textbook: the two downloads everybody starts with. sources: what can be downloaded. exports:
downloads and exports in the background. home: the page. source_lookup: sources and folders by name.
answers: an export's bytes as a response. errors: the one JSON shape. Imports `sockets` never; knows
no green library.
"""
