"""Announces what becomes of exports: as events of the topics `exports` and `exports/<id>`.

Every change of state, and each pause, is one event; progress at most five a second for each export.
Way in: Announcer.announce, which Exports calls at every change.
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

from exports.export import Export
from topics import NotReady, Publication, TooManyTopics, Topics
from wire.events import NewEvent

log = logging.getLogger(__name__)

PROGRESS_EVERY_S = 0.2
# Exports are remembered for longer than anybody follows one.
MAX_FOLLOWED = 200


class Announcer:
    """See the module. Never waits: these topics are in memory. mount: before all addresses."""

    def __init__(self, topics: Topics, mount: str = "") -> None:
        self._topics = topics
        self._mount = mount
        # By export: what was announced last, and when on the monotonic clock.
        self._announced: dict[str, tuple[str, bool, float]] = {}

    def announce(self, export: Export, queue_position: int | None) -> None:
        """Publish the state of an export, unless it is progress too soon."""
        now_s = time.monotonic()
        state, paused, announced_s = self._announced.get(export.id, ("", False, 0.0))
        is_the_same = (export.state, export.paused) == (state, paused)
        if is_the_same and now_s - announced_s < PROGRESS_EVERY_S:
            return
        name = "progress" if export.state == state else export.state
        self._announced.pop(export.id, None)
        self._announced[export.id] = (export.state, export.paused, now_s)
        payload = export.payload(queue_position)
        if payload["url"] is not None:
            payload["url"] = self._mount + payload["url"]
        event = NewEvent(name, _as_json(payload))
        self._publish("exports", event, export.id)
        self._publish(f"exports/{export.id}", event, export.id)
        for oldest in list(self._announced)[:-MAX_FOLLOWED]:
            # Its followers may not have had all of it yet; then it goes the next time.
            if self._topics.close(f"exports/{oldest}"):
                del self._announced[oldest]

    def _publish(self, topic: str, event: NewEvent, key: str) -> None:
        try:
            self._topics.publish(topic, Publication([event], keys=[key]), by_client=False)
        except (NotReady, TooManyTopics) as error:
            log.debug("not announced topic=%s reason=%s", topic, error)


def _as_json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
