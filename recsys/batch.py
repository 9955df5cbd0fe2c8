"""Everybody's top k, block by block: bounded memory, resumable, one file a block.

OUTPUT/
  _job.json            what is being computed; another job's folder is refused
  part-00000.parquet   user, item, rank, score; one row a recommendation
  ...
  _manifest.json       written last: the job, the number of users and rows, the files
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from recsys.data.histories import blocks_of
from recsys.data.ids import IdMap
from recsys.errors import ArtefactError, ConfigError
from recsys.model_ranker import check_k
from recsys.ranking import Ranking
from recsys.recommender import Recommender
from recsys.rules import NO_RULES, AppliedRules, Rules
from recsys.storage import write_atomically

# Readers of a folder of Parquet files pass over names that begin with an underscore.
JOB, MANIFEST, LOCK = "_job.json", "_manifest.json", ".lock"


@dataclass(frozen=True)
class ScoreJob:
    """What is computed for everybody.

    Parameters
    ----------
    k : int
    exclude_seen : bool
    rules : Rules
    block_size : int
        Users of one file; memory grows with it, not with the number of users.
    """

    k: int = 100
    exclude_seen: bool = True
    rules: Rules = field(default_factory=Rules)
    block_size: int = 4096

    def __post_init__(self) -> None:
        check_k(self.k)
        if self.block_size < 1:
            raise ConfigError(f"the block size is {self.block_size}, expected at least 1")


@dataclass(frozen=True)
class ScoreReport:
    """What a run did; `n_short` users got fewer than k, `n_popular` had no usable history."""

    n_users: int
    n_rows: int
    n_blocks: int
    n_blocks_reused: int
    n_short: int
    n_popular: int


def score_everyone(
    recommender: Recommender,
    output: Path,
    job: ScoreJob,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreReport:
    """Write the top k of every user who has a history.

    Parameters
    ----------
    recommender : Recommender
    output : Path
        A folder: new, empty, or left by the same job when it was interrupted. Its finished
        blocks are kept and not computed again.
    job : ScoreJob
    progress : callable or None
        Receives users done and users in all.

    Raises
    ------
    ConfigError
        `output` holds something else, or another job's blocks, or another process writes to it.
    ArtefactError
        The disk is full; finished blocks stay.
    """
    rules = recommender.applied(job.rules)
    description = _describe(recommender, job, rules)
    n_users = len(recommender.users)
    try:
        output.mkdir(parents=True, exist_ok=True)
        if not (output / JOB).exists() and any(_foreign(output)):
            raise ConfigError(f"{output} is not empty and not a score job's; give a new --output")
        with _alone_in(output):
            _claim(output, description)
            tallies = []
            for number, rows in enumerate(blocks_of(n_users, job.block_size)):
                tallies.append(_finish_block(recommender, output, job, rules, number, rows))
                if progress is not None:
                    progress(int(rows[-1]) + 1, n_users)
            report = _total(n_users, tallies)
            files = [each.name for each in tallies]
            summary = {"job": description, **asdict(report), "files": files}
            write_atomically(output / MANIFEST, json.dumps(summary, indent=2).encode())
    except OSError as error:
        raise ArtefactError(
            f"could not write to {output}: {error.strerror or error}; the finished blocks are "
            "whole: run the same command again to go on"
        ) from error
    return report


@dataclass(frozen=True)
class _Block:
    name: str
    reused: bool
    n_rows: int
    n_short: int
    n_popular: int


def _finish_block(
    recommender: Recommender,
    output: Path,
    job: ScoreJob,
    rules: AppliedRules,
    number: int,
    rows: NDArray[np.int64],
) -> _Block:
    path = output / f"part-{number:05d}.parquet"
    if path.exists():
        return _read_tally(path)
    histories = recommender.histories(rows)
    ranking = recommender.ranker(histories, job.k, exclude_seen=job.exclude_seen, rules=rules)
    tally = {
        "n_short": int(((ranking.positions >= 0).sum(axis=1) < job.k).sum()),
        "n_popular": int((np.diff(histories.indptr) == 0).sum()),
    }
    table = _table(ranking, recommender.users.ids[rows], recommender.items)
    table = table.replace_schema_metadata({"recsys": json.dumps(tally)})
    aside = output / f".{path.name}.partial"
    # The scores are noise to a compressor; the rest is dictionary-coded.
    coded = ["user", "item", "rank"]
    pq.write_table(table, aside, compression="none", use_dictionary=coded)  # type: ignore[arg-type]
    aside.rename(path)
    return _Block(path.name, False, table.num_rows, **tally)


def _read_tally(path: Path) -> _Block:
    try:
        metadata = pq.read_metadata(path)
        tally = json.loads((metadata.metadata or {})[b"recsys"])
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise ArtefactError(f"{path} is not a finished block; delete it and run again") from error
    return _Block(path.name, True, metadata.num_rows, **tally)


def _table(ranking: Ranking, users: NDArray[np.object_], items: IdMap) -> pa.Table:
    """One row a recommendation; ids as dictionaries, so that no string is copied k times."""
    n_users, k = ranking.positions.shape
    found = ranking.positions.ravel() >= 0
    rows = np.repeat(np.arange(n_users, dtype=np.int32), k)[found]
    ranks = np.tile(np.arange(1, k + 1, dtype=np.int32), n_users)[found]
    positions = ranking.positions.ravel()[found].astype(np.int32)
    return pa.table(
        {
            "user": pa.DictionaryArray.from_arrays(rows, pa.array(users, pa.string())),
            "item": pa.DictionaryArray.from_arrays(positions, pa.array(items.ids, pa.string())),
            "rank": pa.array(ranks),
            "score": pa.array(ranking.scores.ravel()[found]),
        }
    )


def _total(n_users: int, blocks: list[_Block]) -> ScoreReport:
    return ScoreReport(
        n_users=n_users,
        n_rows=sum(each.n_rows for each in blocks),
        n_blocks=len(blocks),
        n_blocks_reused=sum(each.reused for each in blocks),
        n_short=sum(each.n_short for each in blocks),
        n_popular=sum(each.n_popular for each in blocks),
    )


def _describe(recommender: Recommender, job: ScoreJob, rules: AppliedRules) -> dict[str, Any]:
    return {
        "k": job.k,
        "exclude_seen": job.exclude_seen,
        "block_size": job.block_size,
        "rules": "none" if job.rules == NO_RULES else rules.fingerprint,
        "model": recommender.index.model_fingerprint,
        "events": recommender.store.fingerprint,
    }


@contextlib.contextmanager
def _alone_in(output: Path) -> Iterator[None]:
    """Keep other processes out of the folder."""
    try:
        with FileLock(output / LOCK, timeout=0):
            yield
    except Timeout:
        raise ConfigError(
            f"{output} is being written to by another process; wait for it, or give a new --output"
        ) from None


def _claim(output: Path, description: dict[str, Any]) -> None:
    """Make the folder this job's own, or see that it already is."""
    job_file = output / JOB
    if job_file.exists():
        found = _read_job(job_file)
        differing = sorted(key for key in description if found.get(key) != description[key])
        if differing:
            raise ConfigError(
                f"{output} holds the blocks of another job (different {', '.join(differing)}); "
                "give a new --output folder, or delete that one"
            )
    else:
        write_atomically(job_file, json.dumps(description, indent=2).encode())


def _read_job(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"{path} is not a score job's; give a new --output folder, or delete that one"
        ) from error


def _foreign(output: Path) -> Iterator[Path]:
    return (each for each in output.iterdir() if each.name not in (f".{JOB}.partial", LOCK))
