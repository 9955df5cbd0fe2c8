"""recsys score: everybody's top k into a folder of Parquet files."""

import time
from pathlib import Path

import click

from recsys.data.holdout import counted

from .options import (
    Session,
    device_option,
    epilog,
    stage,
    threads_option,
    use_machine,
)
from .output import clause, note, progress_bar
from .recommend import note_unknown_items
from .rules import RuleFlags, rule_options


@click.command(
    short_help="Write everybody's top k into a folder of files.",
    epilog=epilog("recsys score --output tonight -k 100"),
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIR",
    help="A new folder, or one that this command was interrupted in: finished blocks are kept.",
)
@click.option("-k", "k", type=int, metavar="N", help="How many items a user  [100]")
@click.option("--block-size", type=int, metavar="N", help="Users of one file  [4096]")
@click.option("--exclude-seen/--include-seen", default=None, help="Leave out the history  [yes]")
@rule_options
@threads_option
@device_option
@stage
def score(
    session: Session,
    output: Path,
    k: int | None,
    block_size: int | None,
    exclude_seen: bool | None,
    rules: RuleFlags,
    threads: int | None,
    device: str | None,
) -> None:
    """Write everybody's top k, block by block: columns user, item, rank, score.

    Memory does not grow with the number of users, their ids apart. Run it again to go on after an
    interruption; _manifest.json is written when all is done.
    """
    from recsys.batch import ScoreJob, score_everyone
    from recsys.recommender import Recommender

    settings = session.settings(
        score__k=k,
        score__block_size=block_size,
        recommend__exclude_seen=exclude_seen,
        machine__threads=threads,
        machine__device=device,
    ).settings
    recommender = Recommender.load(session.workspace.root, device=use_machine(settings.machine))
    note_unknown_items(recommender)
    job = ScoreJob(
        k=settings.score.k,
        exclude_seen=settings.recommend.exclude_seen,
        rules=rules.read(recommender.items),
        block_size=settings.score.block_size,
    )
    started = time.perf_counter()
    with progress_bar() as bar:
        task = bar.add_task("scoring", total=len(recommender.users))
        report = score_everyone(
            recommender, output, job, lambda done, total: bar.update(task, completed=done)
        )
    seconds = time.perf_counter() - started
    note(
        f"{counted(report.n_rows, 'row')} for {counted(report.n_users, 'user')} in "
        f"{counted(report.n_blocks, 'file')}, {seconds:.1f} s: {output}"
    )
    if report.n_blocks_reused:
        note(f"  {clause(report.n_blocks_reused, 'file', 'was', 'were')} there already")
    if report.n_popular:
        have = clause(report.n_popular, "user", "has", "have")
        note(f"  {have} no history that the model knows: by popularity")
    if report.n_short:
        short = counted(report.n_short, "user")
        note(f"  {short} got fewer than {job.k}: no more exist under these rules")
