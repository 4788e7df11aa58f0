"""What can be poured: tables, queries and generated rows of SQLite databases.

catalogue: what is served. selection: which rows and columns are wanted. sql: a selection as bound
SQL. tables: what a source looks like. rows: the rows themselves as Arrow record batches, of one
snapshot. fingerprint: has a database changed? sample: the data to start with. Knows no HTTP.

`rows` needs pyarrow; only the recording processes import it, so it is not imported here.
"""
