"""Folders that are served: their files, listings and archives.

folder: Folder, which opens what is below it and nothing else. cached_open: the same without waiting
for a disk. snapshots: what is in a folder now. archives: a folder as a ZIP, any span of it.
tarballs: a folder as a tarball. tree: which folder, as data for a recording process. sample_media:
the film of the sample.
"""
