"""The HTTP API: what each address asks of the current generation."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from starlette.exceptions import HTTPException

from recsys import __version__
from recsys.data.event_store import Event
from recsys.data.histories import blocks_of
from recsys.errors import ArtefactError, ConfigError, DataError, RecsysError, UnknownIdError
from recsys.recommendation import neighbours_record
from recsys.recommender import ItemPath
from recsys.serving import schemas
from recsys.serving.generation import Asked, NotMetError
from recsys.serving.poems import MissingPartError
from recsys.serving.served import Served
from recsys.serving.watching import metrics_response
from recsys.verse.answers import Among, written_record
from recsys.verse.composing import Sampling
from recsys.verse.desk import Desk
from recsys.verse.requests import Request as VerseRequest

PAGE = Path(__file__).parent / "page"
PAGE_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
NO_OTHER_SITES = (
    "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'"
)
STATUS_OF: dict[type[RecsysError], int] = {
    UnknownIdError: 404,
    MissingPartError: 409,
    ConfigError: 422,
    DataError: 422,
    ArtefactError: 503,
}
AT_ONCE = 250
"""Users of a batch that are ranked together; with reasons, so many items of their lists."""

WIDEST_PAGE = 200
"""Items or users of one page of the catalogue."""

Many = Annotated[int, Query(ge=1, le=WIDEST_PAGE)]
Start = Annotated[int, Query(ge=0, le=2**31 - 1)]
Searched = Annotated[str, Query(max_length=200)]
NumberAsked = Annotated[int, Query(ge=1, le=schemas.MOST_K)]


def make_app(served: Served) -> FastAPI:
    """Put a workspace behind HTTP.

    Parameters
    ----------
    served : Served
        What answers; whoever made it closes it.
    """
    problems: dict[int | str, dict[str, Any]] = {
        status: {"model": schemas.Problem, "description": meaning}
        for status, meaning in (
            (400, "the body cannot be read"),
            (401, "the token is missing or wrong"),
            (404, "nothing is known of an id"),
            (409, "it does not go with the data that are served"),
            (413, "the body is too large"),
            (415, "the body is not plain JSON"),
            (422, "a value is not usable"),
            (503, "the workspace, or a part of it, cannot be read"),
        )
    }
    app = FastAPI(
        title="recsys",
        version=__version__,
        description="Top-N recommendations, similar items and users, and verse.",
        responses=problems,
        docs_url=None,
        redoc_url=None,
    )
    _tell_errors(app)
    _add_state(app, served)
    _add_recommending(app, served)
    _add_catalogue(app, served)
    _add_poems(app, served)
    _add_page(app)
    return app


def _tell_errors(app: FastAPI) -> None:
    """Every failure is {"detail": one line}; what was sent is not sent back."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        (first, *_) = error.errors()
        if first["type"] == "json_invalid":
            return _problem(400, f"the body is no JSON: {first['ctx']['error']}")
        said = "; ".join(
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
            for each in error.errors()[:5]
        )
        return _problem(422, said)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(NotMetError)
    async def not_met(request: Request, error: NotMetError) -> JSONResponse:
        return _problem(404, await _in_thread(error.with_the_nearest))

    @app.exception_handler(RecsysError)
    async def failed(request: Request, error: RecsysError) -> JSONResponse:
        statuses = (status for kind, status in STATUS_OF.items() if isinstance(error, kind))
        return _problem(next(statuses, 500), str(error))


def _problem(status: int, detail: str, headers: Any = None) -> JSONResponse:
    # A lone surrogate of the request has no bytes to be sent back as.
    plain = detail.encode(errors="replace").decode()
    return JSONResponse({"detail": plain}, status, headers)


def _answer(record: Any, status: int = 200) -> Response:
    """Send what is known to fit its schema: checking it again would cost more than ranking."""
    content = json.dumps(record, ensure_ascii=False, allow_nan=False).encode(errors="replace")
    return Response(content, status, media_type="application/json")


async def _in_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, work)


def _add_state(app: FastAPI, served: Served) -> None:
    @app.get("/healthz", response_model=schemas.Health, tags=["state"])
    async def healthz() -> Response:
        """Whether the process answers."""
        return _answer({"status": "ok"})

    @app.get("/readyz", response_model=schemas.Ready, tags=["state"])
    async def readyz() -> Response:
        """What is served; why the last reload was refused, where it was."""
        generation = served.current
        recommender = generation.recommender
        return _answer(
            {
                "status": "ready",
                "model": generation.fingerprint,
                "loaded": served.loaded,
                "n_users": len(recommender.users),
                "n_items": len(recommender.items),
                "sparse": recommender.sparse is not None,
                "poems": generation.poems.lookup is not None,
                "verse": generation.poems.writing is not None,
                "value_kind": recommender.store.value_kind,
                "last_reload_error": served.last_error,
            }
        )

    @app.get("/metrics", tags=["state"], response_class=Response)
    async def metrics() -> Response:
        """Counters and latencies, as Prometheus reads them."""
        return metrics_response()


def _add_recommending(app: FastAPI, served: Served) -> None:
    @app.post("/recommend", response_model=schemas.RecommendedList, tags=["recommend"])
    async def recommend(asked: schemas.RecommendAsked) -> Response:
        """Recommend for a user, with all that has happened, or for a list of items."""
        one = Asked(asked.manner(), asked.user, asked.items)
        return _answer(await served.ranked((served.current, one)))

    @app.post("/recommend/batch", response_model=schemas.Batch, tags=["recommend"])
    async def recommend_batch(asked: schemas.BatchAsked) -> Response:
        """Recommend for many users; those of whom nothing is known are named apart."""
        generation, manner = served.current, asked.manner()
        lists, unknown = [], []
        # Piece by piece: who asks for one list meanwhile waits for a piece, not for all of them.
        size = max(1, AT_ONCE // manner.k) if manner.n_reasons else AT_ONCE
        for rows in blocks_of(len(asked.users), size):
            piece = [asked.users[row] for row in rows]
            ranked = (served.ranked((generation, Asked(manner, user))) for user in piece)
            found = await asyncio.gather(*ranked, return_exceptions=True)
            for user, one in zip(piece, found, strict=True):
                if isinstance(one, UnknownIdError):
                    unknown.append(user)
                elif isinstance(one, BaseException):
                    raise one
                else:
                    lists.append(one)
        return _answer({"lists": lists, "unknown": unknown})

    @app.post("/events", response_model=schemas.Accepted, status_code=201, tags=["recommend"])
    async def events(asked: schemas.EventsAsked) -> Response:
        """Keep interactions: on disk before the answer, and counted from the next request on."""
        _check_values(served, asked)
        now = time.time()
        rows = [
            Event(
                each.user, each.item, each.value, now if each.time is None else each.time, each.key
            )
            for each in asked.events
        ]
        return _answer({"accepted": await served.kept(rows)}, 201)

    @app.get("/similar/items/{item:path}", response_model=schemas.SimilarItems, tags=["similar"])
    async def similar_items(item: str, k: NumberAsked = 10, path: ItemPath = "both") -> Response:
        """Find the items that go with one: by the VAE, by the item-item path, or by both."""
        find = partial(served.current.recommender.similar_items, item, k, path)
        return _answer(neighbours_record(item, await _in_thread(find), "item", k))

    @app.get("/similar/users/{user:path}", response_model=schemas.SimilarUsers, tags=["similar"])
    async def similar_users(user: str, k: NumberAsked = 10) -> Response:
        """Find the users (as of the index) who are like one, with all that has happened."""
        find = partial(served.current.similar_users, user, k)
        return _answer(neighbours_record(user, await _in_thread(find), "user", k))


def _check_values(served: Served, asked: schemas.EventsAsked) -> None:
    """Refuse events of poems, and events without a rating where the data are ratings."""
    store = served.current.recommender.store
    if not store.user_table.empty:
        raise MissingPartError("the users here are poems, to which nothing happens")
    if store.value_kind != "rating":
        return
    for place, event in enumerate(asked.events):
        if "value" not in event.model_fields_set:
            raise MissingPartError(f"events.{place}.value: the data are ratings: give the rating")


def _add_catalogue(app: FastAPI, served: Served) -> None:
    @app.get("/items", response_model=schemas.Items, tags=["catalogue"])
    async def items(query: Searched = "", limit: Many = 20, start: Start = 0) -> Response:
        """Find items by title or id, the most popular first; all of them without a query."""
        found, total = served.current.attributes.find(query, limit, start)
        return _answer({"items": found, "total": total})

    @app.get("/items/{item:path}", response_model=dict[str, str], tags=["catalogue"])
    async def one_item(item: str) -> Response:
        """Give what is known of an item."""
        generation = served.current
        (position,) = generation.recommender.items.positions([item])
        return _answer(generation.attributes.rows[position])

    @app.get("/users", response_model=schemas.Users, tags=["catalogue"])
    async def users(query: Searched = "", limit: Many = 20, start: Start = 0) -> Response:
        """Find users whose id begins with a text; those of events alone once they are ingested."""
        found, total = served.current.attributes.find_users(query, limit, start)
        return _answer({"users": found, "total": total})

    @app.get("/users/{user:path}", response_model=schemas.Items, tags=["catalogue"])
    async def history(user: str) -> Response:
        """Give the items of a user's history that the model knows, with all that has happened."""
        generation = served.current
        columns = (await _in_thread(partial(generation.history, user))).columns
        found = [generation.attributes.rows[each] for each in columns.tolist()]
        return _answer({"items": found, "total": len(found)})

    @app.get("/map", response_model=schemas.LatentMap, tags=["catalogue"])
    async def latent_map() -> Response:
        """Lay the items out in the plane, in clusters."""
        generation = served.current
        return _answer(await _in_thread(lambda: generation.map))


def _add_poems(app: FastAPI, served: Served) -> None:
    @app.post("/poems/similar", response_model=schemas.SimilarPoemsFound, tags=["poems"])
    async def similar_poems(asked: schemas.LikeText | schemas.LikePoem) -> Response:
        """Find poems like a text, or like one that is named; in either script."""
        similar = served.current.poems.similar
        among = Among(asked.author, asked.form, asked.script)
        if isinstance(asked, schemas.LikeText):
            work = partial(similar.to_text, asked.text, asked.k, among)
        else:
            work = partial(similar.to_poem, asked.poem, asked.k, among)
        return _answer(await _in_thread(work))

    @app.post("/poems/generate", response_model=schemas.WrittenPoems, tags=["poems"])
    async def generate(asked: schemas.GenerateAsked) -> Response:
        """Write poems, with tones, rhyme, and the existing lines that are nearest."""
        return _answer(await _in_thread(partial(_write, served.current.poems.desk, asked)))


def _write(desk: Desk, asked: schemas.GenerateAsked) -> dict[str, Any]:
    about, unknown = "", list[str]()
    if asked.theme is not None:
        theme = desk.theme(asked.theme)
        about, unknown = theme.text, list(theme.unknown)
    if asked.like is not None:
        about += desk.poem(asked.like).text
    to_source = desk.scripts.to_source
    request = VerseRequest(
        asked.form, to_source(asked.acrostic), to_source(asked.first_line), asked.free
    )
    sampling = Sampling(asked.temperature, asked.candidates, asked.seed)
    poems = desk.composer.compose(request, asked.n, sampling, about)
    records = [
        written_record(number, asked.form, each, desk, asked.script)
        for number, each in enumerate(poems, 1)
    ]
    return {"poems": records, "unknown": unknown}


def _add_page(app: FastAPI) -> None:
    for address, (name, media_type) in PAGE_FILES.items():
        app.add_api_route(address, _sends(PAGE / name, media_type), include_in_schema=False)


def _sends(path: Path, media_type: str) -> Callable[[], Awaitable[FileResponse]]:
    async def send() -> FileResponse:
        headers = {"Content-Security-Policy": NO_OTHER_SITES, "Cache-Control": "no-cache"}
        return FileResponse(path, media_type=media_type, headers=headers)

    return send
