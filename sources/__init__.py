"""What can be downloaded or followed: databases, folders and logs. Knows no HTTP.

catalogue/: what headwater.toml names. folders/, logs/: what is in files. sqlite/: a kind of
database. Here is what kinds of database share:

database: the contract. kinds, rows: the two tables of kinds, for the server and for the processes
that record. columns, query, profile: data of the contract. selection, lists, dates: which rows and
columns the URL asks for. row_filter: which rows a client may see. descriptions: what sources look
like. time_bins: the bins of a histogram by time. grain: can a file have changed unseen?
statement_watch: breaks off statements whose time is over. errors.

rows needs pyarrow: only the recording processes import it.
"""
