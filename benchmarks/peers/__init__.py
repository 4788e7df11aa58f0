"""What we are compared with: the sqlite3 program, nginx, and the generators of textbooks."""
