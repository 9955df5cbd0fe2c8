"""Every request leaves a line of JSON and counts: request ids, logs, Prometheus metrics."""

import json
import logging
import os
import random
import re
import time
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger("recsys.serving")

SHARED_METRICS = "PROMETHEUS_MULTIPROC_DIR"
"""Where several workers count together; set before this module is imported."""

REQUESTS = Counter("recsys_requests", "Requests answered.", ["method", "path", "status"])
SECONDS = Histogram(
    "recsys_request_seconds",
    "From a request's arrival to its answer.",
    ["path"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
)
_ids = random.Random()
"""Of request ids, which tell lines of a log apart and are no secret: asking the system for each
would give way to other threads."""
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


def metrics_response() -> Response:
    """What has been counted, of all workers."""
    registry = REGISTRY
    if SHARED_METRICS in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class Watching:
    """Give each request an id, which is sent back; log it and count it when it is answered.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        request_id = given if _SANE_ID.fullmatch(given) else b"%032x" % _ids.getrandbits(128)
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", request_id)]
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - started
            path = getattr(scope.get("route"), "path", "other")
            REQUESTS.labels(scope["method"], path, str(status)).inc()
            SECONDS.labels(path).observe(seconds)
            if log.isEnabledFor(logging.INFO):
                told = {
                    "request_id": request_id.decode(),
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "ms": round(1000 * seconds, 2),
                }
                log.info("request", extra=told)


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, message, and what else a record carries."""

    _OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in self._OWN}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
