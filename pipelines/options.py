"""What every command shares: the workspace, the output format, settings, threads and device."""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from recsys.errors import ConfigError

from .output import FORMATS, Format, format_of
from .workspace import Workspace

if TYPE_CHECKING:
    from .config import MachineSettings, Resolved

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_WORKSPACE = Path("data")


@dataclass(frozen=True)
class Session:
    """What was said before and after the command."""

    workspace: Workspace
    format: Format | None
    assignments: tuple[str, ...] = ()
    owns_process: bool = False

    def settings(self, **flags: Any) -> "Resolved":
        """Resolve the settings; flags are named section__key."""
        from .config import resolve
        from .presets import presets_of

        named = {key.replace("__", "."): value for key, value in flags.items()}
        return resolve(
            self.workspace.settings_file,
            os.environ,
            named,
            self.assignments,
            presets_of(self.workspace.interactions),
        )


def workspace_option(**extra: Any) -> Callable[[Command], Command]:
    """--workspace, as it stands both before and after the command."""
    return click.option(
        "--workspace",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="The folder that holds data, model and index  [RECSYS_WORKSPACE, else ./data]",
        **extra,
    )


def format_option(**extra: Any) -> Callable[[Command], Command]:
    """--format, as it stands both before and after the command."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(FORMATS),
        help="How data are written to stdout  [table on a terminal, else ndjson]",
        **extra,
    )


def stage(command: Command) -> Command:
    """Give a command the shared options and hand it a `Session` as its first argument."""
    return _with_session(
        click.option(
            "-S",
            "assignments",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set one setting, such as -S training.epochs=20 (repeatable; `recsys config`).",
        )(command)
    )


def plain_stage(command: Command) -> Command:
    """Like `stage`, for a command that has no settings."""
    return _with_session(command)


def _with_session(command: Command) -> Command:
    @workspace_option()
    @format_option()
    @functools.wraps(command)
    def run(
        *args: Any,
        workspace: Path | None,
        format_: Format | None,
        assignments: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> Any:
        before: Session = click.get_current_context().obj
        session = replace(
            before,
            workspace=before.workspace if workspace is None else Workspace(workspace),
            format=format_ or before.format,
            assignments=assignments,
        )
        return command(session, *args, **kwargs)

    return run  # type: ignore[return-value]


def _writable_format(
    context: click.Context, option: click.Parameter, output: Path | None
) -> Path | None:
    """Refuse a suffix that names no format before any work is done."""
    if output is not None:
        format_of(output)
    return output


output_option = click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_writable_format,
    metavar="FILE",
    help="Write to FILE instead: .parquet, .csv, .json or .ndjson.",
)
threads_option = click.option("--threads", type=int, metavar="N", help="Use N cores  [all]")
device_option = click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute  [auto]"
)

script_option = click.option(
    "--script",
    type=click.Choice(["traditional", "simplified"]),
    help="How verse is shown  [as the poems are written]",
)


def use_machine(machine: "MachineSettings") -> str:
    """Limit every library's threads as the settings say, and give the device's name.

    Raises
    ------
    ConfigError
        CUDA was asked for and is not there.
    """
    import torch
    from threadpoolctl import threadpool_limits

    import recsys.index.item_index  # noqa: F401 - only libraries that are loaded can be limited

    if machine.threads is not None:
        threadpool_limits(machine.threads)
        torch.set_num_threads(machine.threads)
    available = torch.cuda.is_available()
    if machine.device == "cuda" and not available:
        raise ConfigError("--device cuda: PyTorch sees no CUDA device here; use --device cpu")
    return "cuda" if available and machine.device != "cpu" else "cpu"


def epilog(example: str) -> str:
    """The runnable example that ends a command's help."""
    return f"\b\nExample:\n  {example}"


def as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON carries them: tuples become lists."""
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in values.items()
    }
