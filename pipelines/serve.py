"""recsys serve: the workspace behind HTTP, with a page to explore it."""

import os
from pathlib import Path

import click

from recsys.errors import ConfigError, DataError

from .options import Session, device_option, epilog, stage, threads_option
from .output import note

LOOPBACK = ("localhost", "127.0.0.1", "::1")
TOKEN_VARIABLE = "RECSYS_TOKEN"
SHORTEST_TOKEN = 16


@click.command(
    short_help="Answer over HTTP, with a page to explore the model.",
    epilog=epilog("recsys serve --port 8000"),
)
@click.option("--host", default="127.0.0.1", metavar="NAME", help="Address to bind  [127.0.0.1]")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, metavar="N", help="0: a free one  [8000]"
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    metavar="N",
    help="Processes that share the port and the index  [1]",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Ask for this bearer token  [{TOKEN_VARIABLE}, else none]",
)
@click.option(
    "--max-body",
    type=click.IntRange(1024),
    default=2**20,
    metavar="BYTES",
    help="Refuse larger requests  [1 MiB]",
)
@click.option("--log-requests/--no-log-requests", default=True, help="A line of JSON each  [yes]")
@threads_option
@device_option
@stage
def serve(
    session: Session,
    host: str,
    port: int,
    workers: int,
    token_file: Path | None,
    max_body: int,
    log_requests: bool,
    threads: int | None,
    device: str | None,
) -> int:
    """Serve recommendations, similar items and users, events, and the explorer page.

    SIGHUP loads a new model beside the old one and swaps them, without a dropped request; a
    broken one is refused and the old one goes on. SIGTERM ends when what is under way is answered,
    or after 20 s. Events that are posted are kept in WORKSPACE/events.sqlite and count at once;
    `recsys ingest --from-events` folds them into the next training.
    """
    settings = session.settings(machine__threads=threads, machine__device=device).settings
    _require_extra()
    from recsys.serving.door import DoorConfig
    from recsys.serving.workers import ServeConfig, listen
    from recsys.serving.workers import serve as serve_workers

    token = _token(token_file)
    if host not in LOOPBACK and token is None:
        note(f"warning: {host} may be reached by others, and no token is asked for (--token-file)")
    if workers > 1 and settings.machine.threads is None:
        threads = max(1, (os.cpu_count() or 1) // workers)
    else:
        threads = settings.machine.threads
    config = ServeConfig(
        root=session.workspace.root,
        host=host,
        port=port,
        workers=workers,
        threads=threads,
        device="cpu" if settings.machine.device == "auto" else settings.machine.device,
        door=DoorConfig(token, LOOPBACK if host in LOOPBACK else None, max_body),
        log_requests=log_requests,
    )
    listening = listen(host, port)
    _prepare_poems(session)
    port = listening.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    note(f"serving {session.workspace.root} on http://{shown}:{port} (end with Ctrl-C)")
    return serve_workers(config, listening)


def _require_extra() -> None:
    """Ask for what the extra `serve` brings.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"recsys serve needs {error.name}: pip install 'recsys-vae[serve]'"
        ) from error


def _token(path: Path | None) -> str | None:
    """Read the token from a file, else from the environment.

    Raises
    ------
    DataError
        The file cannot be read, or the token is short or no plain text.
    """
    if path is not None:
        try:
            token, source = path.read_text(encoding="utf-8").strip(), str(path)
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"--token-file {path} cannot be read: {error}") from error
    else:
        if TOKEN_VARIABLE not in os.environ:
            return None
        token, source = os.environ[TOKEN_VARIABLE], TOKEN_VARIABLE
    if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise DataError(
            f"the token in {source} must be {SHORTEST_TOKEN} or more plain characters; make one "
            "with `openssl rand -hex 32`"
        )
    return token


def _prepare_poems(session: Session) -> None:
    """Build the look-up of poems where there is none of this model."""
    from recsys.data.artefact import open_interactions

    from .similar_poems import open_lookup

    if open_interactions(session.workspace.interactions).user_table.empty:
        return
    open_lookup(session, session.settings().settings.machine)
