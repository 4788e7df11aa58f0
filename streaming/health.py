"""The server's health, for monitoring: liveness, readiness and metrics.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/, by prometheus-client.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Blueprint, Response, current_app, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector
from prometheus_client import generate_latest as show
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from auth import Clients
from exports.service import ExportService
from streaming.bodies import sent_bytes_of
from streaming.errors import Refusal
from topics import Topics
from topics.self_check import SelfCheck
from topics.status import StatusClock

# The self-check gets an event each second; without one for so long, delivery has failed.
MAX_SILENT_S = 5.0


def make_blueprint(
    topics: Topics,
    exports: ExportService,
    status: StatusClock,
    self_check: SelfCheck,
    clients: Clients,
    refusals: Counter[str],
) -> Blueprint:
    """Return the blueprint of /healthz, /readyz and /metrics. refusals: by the error's code."""
    blueprint = Blueprint("health", __name__)
    registry = CollectorRegistry()
    ProcessCollector(namespace="headwater", registry=registry)
    responses: Counter[str] = Counter()
    registry.register(_Numbers(topics, exports, status, self_check, clients, refusals, responses))

    @blueprint.after_app_request
    def count(response: Response) -> Response:
        responses[f"{response.status_code // 100}xx"] += 1
        return response

    @blueprint.get("/healthz")
    def alive() -> Response:
        silent_s = self_check.silent_s()
        if topics.is_open and silent_s > MAX_SILENT_S:
            message = f"no event was delivered for {silent_s:.1f} s, and there is one each second"
            raise Refusal(503, "deaf", message, {"silent_s": round(silent_s, 1)})
        return jsonify(status="alive", silent_s=round(silent_s, 3))

    @blueprint.get("/readyz")
    def ready() -> Response:
        if not topics.is_open:
            message = "the server is starting or stopping: try again in a second"
            raise Refusal(503, "not_ready", message)
        return jsonify(status="ready")

    @blueprint.get("/metrics")
    def metrics() -> Response:
        return Response(show(registry), content_type=CONTENT_TYPE_LATEST)

    return blueprint


@dataclass(eq=False)
class _Numbers(Collector):
    """The metrics: counters and gauges, read during the request."""

    topics: Topics
    exports: ExportService
    status: StatusClock
    self_check: SelfCheck
    clients: Clients
    refusals: Counter[str]
    responses: Counter[str]

    def collect(self) -> Iterator[Metric]:
        topics, exports = self.topics, self.exports
        gauges = {
            "hub_lag_seconds": ("Latest a timer was in the last second.", self.status.lag_s),
            "delivery_silent_seconds": (
                "Time since the server's self-check got an event; there is one each second.",
                self.self_check.silent_s(),
            ),
            "clients": (
                "Connections and sessions of all principals.",
                sum(self.clients.counts().values()),
            ),
            "readers": ("Readers of topics, on all transports.", len(topics.readers)),
            "readers_behind": (
                "Readers that are reading what they missed.",
                topics.subscriptions.behind(),
            ),
            "topics": ("Topics that were published to.", len(topics.all())),
            "topics_memory_bytes": (
                "Bytes of topics in memory, receipts included.",
                topics.log.used().memory_bytes,
            ),
            "topics_disk_bytes": (
                "Bytes of topics on the disk, receipts included.",
                topics.log.used().disk_bytes,
            ),
            "topics_bytes": ("Size of all topics' journals.", topics.size_bytes()),
            "recordings_bytes": ("Size of all kept exports.", exports.size_bytes()),
        }
        for name, (text, value) in gauges.items():
            yield GaugeMetricFamily(f"headwater_{name}", text, value)
        counters = {
            "events_published": ("Events published since the start.", topics.published),
            "events_pushed": (
                "Events pushed to readers that were up to date.",
                topics.dispatcher.delivered,
            ),
            "gaps_told": ("Gaps that were sent to readers.", topics.subscriptions.gaps_told()),
        }
        for name, (text, number) in counters.items():
            yield CounterMetricFamily(f"headwater_{name}", text, number)
        yield _labelled(
            GaugeMetricFamily(
                "headwater_connections", "Readers of topics, by transport.", labels=["transport"]
            ),
            topics.subscriptions.connections(),
        )
        yield _labelled(
            GaugeMetricFamily("headwater_exports", "Exports that are known.", labels=["state"]),
            exports.states(),
        )
        text = "Sent to clients: events (and lines of logs), exports, files (and ZIPs), reports."
        sent = CounterMetricFamily("headwater_sent_bytes", text, labels=["kind"])
        own = {"events": topics.subscriptions.sent_bytes(), "exports": exports.sent_bytes()}
        yield _labelled(sent, {**own, **sent_bytes_of(current_app)})
        text = "Answers to requests, by class of status."
        answered = CounterMetricFamily("headwater_responses", text, labels=["status"])
        yield _labelled(answered, self.responses)
        text = "Refused requests and cut connections, by the code of the error."
        refused = CounterMetricFamily("headwater_refusals", text, labels=["code"])
        yield _labelled(refused, self.refusals)


def _labelled(family: CounterMetricFamily | GaugeMetricFamily, values: dict[str, int]) -> Metric:
    for label, value in sorted(values.items()):
        family.add_metric([label], value)
    return family
