"""The `recsys` command: its group, and what each kind of failure does to the exit code."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from recsys import __version__
from recsys.errors import RecsysError

from .cluster import cluster
from .demo import demo
from .evaluate import evaluate
from .fetch import fetch
from .generate import generate
from .index import index
from .ingest import ingest
from .inspect import config, info, verify
from .interpolate import interpolate
from .map import map_
from .options import (
    DEFAULT_WORKSPACE,
    Session,
    epilog,
    format_option,
    workspace_option,
)
from .output import Format
from .recommend import recommend
from .score import score
from .serve import serve
from .similar import similar
from .train import train
from .workspace import Workspace

INTERRUPTED = 130


class _InOrder(click.Group):
    """Lists the commands in the order in which they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # caught here, before click makes it exit code 1
            return _reader_is_gone()


@click.group(
    cls=_InOrder, epilog=epilog("recsys ingest clicks.csv && recsys train && recsys index")
)
@workspace_option(envvar="RECSYS_WORKSPACE", default=DEFAULT_WORKSPACE)
@format_option(envvar="RECSYS_FORMAT")
@click.version_option(__version__, prog_name="recsys")
@click.pass_context
def cli(context: click.Context, workspace: Path, format_: Format | None) -> None:
    """Top-N recommendations from a file of interactions.

    Data go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 usage or
    configuration, 3 bad input data, 4 unknown id, 130 interrupted.
    """
    context.obj = Session(Workspace(workspace), format_, owns_process=bool(context.obj))


for _command in (
    demo,
    fetch,
    ingest,
    train,
    index,
    recommend,
    similar,
    cluster,
    map_,
    generate,
    interpolate,
    score,
    evaluate,
    serve,
    info,
    config,
    verify,
):
    cli.add_command(_command)


def run(arguments: list[str] | None = None, *, owns_process: bool = False) -> int:
    """Run the command line and give its exit code.

    Parameters
    ----------
    arguments : list of str or None
        None: the process's own.
    owns_process : bool
        Whether the process is this command and nothing else, so that it may start itself again.
    """
    try:
        result: Any = cli(arguments, prog_name="recsys", standalone_mode=False, obj=owns_process)
        sys.stdout.flush()
    except RecsysError as error:
        return _fail(str(error), error.exit_code)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        advice = f"; {error}" if str(error) else ""
        return _fail(f"interrupted{advice}", INTERRUPTED)
    except BrokenPipeError:
        return _reader_is_gone()
    except OSError as error:
        named = f"{error.filename}: " if error.filename else ""
        return _fail(f"{named}{error.strerror or error}", 1)
    return result if isinstance(result, int) else 0


def _fail(message: str, exit_code: int) -> int:
    click.echo(f"recsys: {message}", err=True)
    return exit_code


def _reader_is_gone() -> int:
    """End well when the reader has seen enough (`recsys ... | head`)."""
    # What is still buffered goes nowhere, so that Python does not complain at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
