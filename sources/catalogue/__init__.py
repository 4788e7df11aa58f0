"""The catalogue: what headwater.toml names, read with care, and whether it is there.

catalogue: Catalogue, and the whole document. folders, logs, topics: one section each. entry: one
table of the document. names: what may be called how. check: does each database hold what the
catalogue says? sample.toml: the catalogue of the embedded sample.
"""
