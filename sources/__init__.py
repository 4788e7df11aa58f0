"""What can be downloaded or followed: databases, folders and logs. Knows no HTTP.

catalogue/: what is served. sqlite/: databases. folders/, logs/: files. Here is what they share:
selection, lists: which rows and columns are wanted. row_filter: which rows a client may see.
query: what is to be read, as plain data. descriptions: what sources look like. profile, time_bins:
what the values of a column are like. grain: has a file changed? errors.
"""
