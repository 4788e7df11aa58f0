"""What can be poured: tables, queries and generated rows of SQLite databases.

catalogue: what is served. connections: the one engine that reads. selection: which rows and columns
are wanted. sql: a selection as bound SQL. tables: what a source looks like. rows: the rows
themselves as Arrow record batches, of one snapshot. spill: the same with one type per column.
fingerprint: has a database changed? volatility: does a query depend on more than the database?
sample: the data to start with. Knows no HTTP.

`rows` and `spill` need pyarrow; only the recording processes import them, so they are not imported
here.
"""
