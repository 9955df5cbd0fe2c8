"""An `IdMap` on disk: a Parquet file of one text column, in the order of the positions."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from recsys.data.ids import IdMap
from recsys.errors import ArtefactError


def save_ids(ids: IdMap, path: Path) -> None:
    """Write the ids in their order."""
    pq.write_table(pa.table({"id": pa.array(ids.ids, pa.string())}), path)


def load_ids(path: Path, noun: str, made_by: str) -> IdMap:
    """Read what `save_ids` wrote.

    Raises
    ------
    ArtefactError
        The file is not a list of ids; the message names `made_by`, the command that makes one.
    """
    try:
        (column,) = pq.read_table(path, partitioning=None).itercolumns()
        return IdMap.in_order(map(str, column.to_pylist()), noun)
    except (pa.ArrowException, ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ArtefactError(f"{path} is not a list of ids ({reason}); run `{made_by}`") from error
