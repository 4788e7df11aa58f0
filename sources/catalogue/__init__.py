"""The catalogue: what headwater.toml names, read with care, and whether it is there.

catalogue: Catalogue, and the whole document. sources, folders, logs, topics: a section each.
names: what may be called how. check: is there what is named? checked: the way in.
sample.toml: the catalogue of the embedded sample.
"""
