"""Who may come in, and with how much: token, host, content type, and the size of a body."""

import hmac
from collections.abc import Collection
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN = frozenset({"/", "/page.css", "/page.js", "/healthz", "/readyz"})
"""What is served without a token: the page itself, and what a load balancer asks."""


@dataclass(frozen=True)
class DoorConfig:
    """What is asked at the door.

    Parameters
    ----------
    token : str or None
        What `Authorization: Bearer ...` must say; None lets everybody in.
    hosts : collection of str or None
        What the Host header may name: on loopback no other, so that no web site can have its own
        name resolve to this machine. None: any.
    most_bytes : int
        Of a body.
    """

    token: str | None = None
    hosts: Collection[str] | None = None
    most_bytes: int = 2**20


class Door:
    """Refuse before anything is read or computed; a body is held until it is whole.

    Parameters
    ----------
    app : ASGI application
    config : DoorConfig
    """

    def __init__(self, app: ASGIApp, config: DoorConfig) -> None:
        self.app, self.config = app, config

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            # Answered as GET is; the server itself leaves the body out.
            asked = {**scope, "method": "GET"}
            try:
                await self(asked, receive, send)
            finally:
                scope["route"] = asked.get("route")  # what it is counted by
            return
        headers = dict(scope["headers"])
        refusal = self._refusal(scope, headers)
        if refusal is None and scope["method"] in ("POST", "PUT", "PATCH"):
            body = await self._body(receive)
            if body is None:
                refusal = _too_large(self.config.most_bytes)
            else:
                refusal = _unreadable(headers) if body else None
                receive = _replayed(body, receive)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> JSONResponse | None:
        host = _name_of(headers.get(b"host", b"").decode("latin-1")).lower()
        if self.config.hosts is not None and host not in self.config.hosts:
            return JSONResponse({"detail": f"this service does not answer for {host!r}"}, 400)
        if self.config.token is not None and scope["path"] not in OPEN:
            scheme, _, said = headers.get(b"authorization", b"").partition(b" ")
            is_right = hmac.compare_digest(said, self.config.token.encode())
            if scheme.lower() != b"bearer" or not is_right:
                return JSONResponse(
                    {"detail": "expected the header Authorization: Bearer TOKEN"},
                    401,
                    {"WWW-Authenticate": "Bearer"},
                )
        length = headers.get(b"content-length", b"0")
        # More digits than any body has bytes: int() itself would refuse thousands of them.
        if len(length) > 18 or (length.isdigit() and int(length) > self.config.most_bytes):
            return _too_large(self.config.most_bytes)
        return None

    async def _body(self, receive: Receive) -> bytes | None:
        """Read the whole body; None where it is too large."""
        parts, n_bytes = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            part = message.get("body", b"")
            n_bytes += len(part)
            if n_bytes > self.config.most_bytes:
                return None
            parts.append(part)
            if not message.get("more_body", False):
                break
        return b"".join(parts)


def _too_large(most: int) -> JSONResponse:
    # Whatever is still on its way would be taken for the next request.
    return JSONResponse(
        {"detail": f"the body has more than {most:,} bytes"}, 413, {"Connection": "close"}
    )


def _unreadable(headers: dict[bytes, bytes]) -> JSONResponse | None:
    """Refuse a body that is not plain JSON: no other site's form can send that."""
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
    if kind != "application/json" and not kind.endswith("+json"):
        said = f"expected the header Content-Type: application/json, found {kind or 'none'}"
        return JSONResponse({"detail": said}, 415)
    encoding = headers.get(b"content-encoding", b"identity").strip().lower().decode("latin-1")
    if encoding != "identity":
        return JSONResponse({"detail": f"a body is not read in Content-Encoding: {encoding}"}, 415)
    return None


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _name_of(host: str) -> str:
    """Give a Host header without its port.

    Examples
    --------
    >>> _name_of("localhost:8000"), _name_of("[::1]:8000"), _name_of("::1")
    ('localhost', '::1', '::1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]
