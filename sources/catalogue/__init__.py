"""The catalogue: reads and checks the sources, folders, logs and topics of headwater.toml.

catalogue: Catalogue, and the whole document. sources, folders, logs, topics: a section each. names:
the rules for names. check: checks that databases, folders and logs exist. checked: the way in.
sample.toml: the catalogue of the embedded sample.
"""
