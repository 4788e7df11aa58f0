"""SQLite, by one engine, apsw. No other room knows it.

database: SqliteDatabase, a Database of sources.database, and its row in sources.kinds. connections:
opening a file, and limits of statements. wal_files, wal_rights: the files of a write-ahead log,
which the application must be able to write. statement, filters: parsing the SQL of the catalogue.
check: whether a database matches the catalogue. tables, column_types: descriptions of sources. sql,
conditions, dates, subqueries: a selection as bound SQL. fingerprint: whether a file has changed.
volatility: whether a statement depends on the clock or on chance. preview: the first rows.
profiling: a sample of the rows. rows, spill, typed_values: the rows as Arrow record batches.
generated: generated rows. sample: the sample database.

rows, spill and typed_values need pyarrow: only the recording processes import them.
"""
