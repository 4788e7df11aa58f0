"""Folders that are served: their files, listings and archives.

folder: Folder, which opens files below it and nothing else. cached_open: the same without waiting
for a disk. snapshots: the content of a folder at a moment. archives: any span of a folder as a ZIP.
tarballs: a folder as a tarball. tree: a folder as data for a recording process. sample_media: the
film of the sample.
"""
