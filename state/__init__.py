"""What the server remembers besides events and recordings: state.db, a SQLite file in its folder.

database: State, its transactions. schema: its tables, and the versions of them. takeover: what
versions before it kept in files of their own. holder: which file the running server uses. errors:
what may go wrong. whole_file: files that are replaced whole, for all rooms. Knows nothing of what
rows and files mean.
"""

from state.database import State, deadline, left_s
from state.errors import StateBusy, StateError, StateFull, StateUnusable

__all__ = ["State", "StateBusy", "StateError", "StateFull", "StateUnusable", "deadline", "left_s"]
