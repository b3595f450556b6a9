"""Spans of queries, by the semantic conventions of databases: asyncpg tells each query after its end."""

import re
from functools import lru_cache
from time import time_ns
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode, Tracer, get_current_span

#: Of a query's text.
_LONGEST = 1024
#: What the pool sends when a connection is returned.
_RESET = "pg_advisory_unlock_all"
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+(?:ONLY\s+)?\"?([a-z_][a-z0-9_.]*)", re.IGNORECASE)
_WORDS = re.compile(r"\s+")


class QuerySpans:
    """Records the queries of sampled spans. Texts have placeholders, never values."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def record(self, query: Any) -> None:
        """Takes an asyncpg.connection.LoggedQuery. It is called in the context of the query."""
        # The span may have ended: the driver calls this in the next turn of the loop.
        if not get_current_span().get_span_context().trace_flags.sampled or _RESET in query.query:
            return
        text, operation, table = _described(query.query)
        ended = time_ns()
        summary = f"{operation} {table}".strip()
        host, port = query.conn_addr if isinstance(query.conn_addr, tuple) else (str(query.conn_addr), 0)
        attributes: dict[str, str | int] = {
            "db.system.name": "postgresql",
            "db.namespace": str(query.conn_params.database or ""),
            "db.operation.name": operation,
            "db.query.summary": summary,
            "db.query.text": text,
            "server.address": host,
            "server.port": port,
        }
        if table:
            attributes["db.collection.name"] = table
        span = self._tracer.start_span(
            summary, kind=SpanKind.CLIENT, attributes=attributes, start_time=ended - int(query.elapsed * 1e9)
        )
        if query.exception is not None:
            state = getattr(query.exception, "sqlstate", None)
            span.set_attribute("error.type", state or type(query.exception).__name__)
            if state:
                span.set_attribute("db.response.status_code", state)
            span.set_status(StatusCode.ERROR)
        span.end(ended)


@lru_cache(maxsize=512)
def _described(query: str) -> tuple[str, str, str]:
    """Returns the text on one line, the operation and the first table."""
    text = _WORDS.sub(" ", query).strip()
    table = _TABLE.search(text)
    return text[:_LONGEST], text.partition(" ")[0].upper(), table[1] if table else ""
