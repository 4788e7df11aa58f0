"""What the server remembers besides events and recordings: state.db, a SQLite file in its folder.

database: State, its transactions. schema: its tables, and the versions of them. takeover: what
versions before it kept in files of their own. errors: what may go wrong. Knows nothing of what the
rows mean.
"""

from state.database import State
from state.errors import StateBusy, StateError, StateFull, StateUnusable

__all__ = ["State", "StateBusy", "StateError", "StateFull", "StateUnusable"]
