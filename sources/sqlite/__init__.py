"""SQLite, by one engine, apsw. No other room knows it.

database: SqliteDatabase, which is what sources.database asks for, and the row of sources.kinds.
connections: how a file is opened, and what bounds a statement. wal_files, wal_rights: so that its
application can still write it. statement, filters: the SQL of the catalogue. check: does a database
have what the catalogue says? tables, column_types: what a source looks like. sql, conditions,
dates, subqueries: a selection as bound SQL. fingerprint: has a file changed? volatility: does a
statement depend on more than the database? preview: the first rows. profiling: a sample of all.
rows, spill, typed_values: the rows as Arrow record batches. generated: rows that are made up.
sample: the data to start with.

rows, spill and typed_values need pyarrow: only the recording processes import them.
"""
