"""What all sockets share that are listened to. A value; way in: Hearing."""

from __future__ import annotations

from typing import NamedTuple

from guard.turns import Turns
from guard.unfinished import Unfinished


class Hearing(NamedTuple):
    """turns: what comes is understood and answered in them. unfinished: what has not come whole."""

    turns: Turns
    unfinished: Unfinished
