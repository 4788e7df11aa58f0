"""SQLite: one engine, apsw, for everything that reads a database file. The only room that names it.

connections: how a database is opened and what bounds a statement. wal_files, wal_rights: so that
its application can still write it. statement: SQL text. tables, column_types: what a source looks
like. sql, conditions: a selection as bound SQL. fingerprint: has it changed? volatility: does a
statement depend on more than the database? preview: the first rows. rows, spill, typed_values: the
rows as Arrow record batches. generated: rows that are made up. sample: the data to start with.

rows, spill and typed_values need pyarrow: only the recording processes import them.
"""
