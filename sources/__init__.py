"""Sources of downloads and feeds: databases, folders and logs. Knows no HTTP.

catalogue/: the sources in headwater.toml. folders/, logs/: sources in files. sqlite/: a kind of
database. All kinds of database share:

database: the contract. kinds, rows: the two tables of kinds, for the server and for the recording
processes. columns, query, profile: data of the contract. selection, lists, dates: the rows and
columns that a URL asks for. row_filter: the rows that a client may see. descriptions: cached
descriptions of sources. time_bins: the bins of a histogram by time. grain: whether a change of a
file shows in its times. own_files: what is never served. statement_watch: interrupts overdue
statements. errors: what can go wrong.

rows needs pyarrow: only the recording processes import it.
"""
