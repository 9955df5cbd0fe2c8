"""The data sets of the benchmarks: how each goes through the stages, and figures to hold against.

They are looked for in ../shared/datasets, beside the checkout, when not told otherwise.
"""

from dataclasses import dataclass
from pathlib import Path

from peers import PEERS

BESIDE_THE_CHECKOUT = Path(__file__).resolve().parents[2] / "shared" / "datasets"
LIKED = ("--min-rating", "4", "--min-user-interactions", "5")
TENTHS = ("--validation-size", "0.1", "--test-size", "0.1")
RATINGS = ("{folder}/ratings.csv.gz", "--items", "{folder}/items.csv.gz", *LIKED)


@dataclass(frozen=True)
class DataSet:
    """How a data set goes through the stages, and the figures to hold ours against.

    Parameters
    ----------
    ingest, train : tuple of str
        Arguments of the stages; {folder} is the data set's own.
    metrics : tuple of str
        What is measured; the last one is the one that decides.
    peers : tuple of str
        Those that can be fitted on it in the memory of a usual machine.
    references : tuple of str
        Published figures on the same test users, a line each; empty where there are none.
    """

    ingest: tuple[str, ...]
    train: tuple[str, ...]
    metrics: tuple[str, ...] = ("recall@20", "recall@50", "ndcg@100")
    peers: tuple[str, ...] = PEERS
    references: tuple[str, ...] = ()

    def ingest_arguments(self, folder: Path) -> list[str]:
        """Give the arguments of `recsys ingest` for the data in `folder`."""
        return [each.format(folder=folder) for each in self.ingest]

    def train_arguments(self, folder: Path) -> list[str]:
        """Give the arguments of `recsys train` for the data in `folder`."""
        return [each.format(folder=folder) for each in self.train]


DATA_SETS = {
    "ml-100k": DataSet(ingest=RATINGS, train=TENTHS),
    "ml-1m": DataSet(ingest=RATINGS, train=("--split", "{folder}/strong-generalization.csv.gz")),
    "goodbooks-10k-v1": DataSet(ingest=RATINGS, train=TENTHS),
    "gowalla": DataSet(
        ingest=("{folder}/train.txt.gz",),
        train=("--test", "{folder}/test.txt.gz"),
        metrics=("full_recall@20", "ndcg@20"),
        # EASE and EDLAE would take the inverse of a square of 40,981 items.
        peers=("popularity", "als", "recvae"),
        references=(
            "full_recall@20 / ndcg@20, test-tuned by their authors:",
            "  MultVAE .1641 .1335; EASE .1765 .1467; LightGCN .1820 .1547; UltraGCN .1862 .1580",
            "  SimpleX .1872 .1557; BSPM-EM .1920 .1597; RLAE-DAN .1922 .1605; NESCL .1917 .1617",
        ),
    ),
}


def folder_of(data_set: str, datasets: Path) -> Path:
    """Give the data set's folder.

    Raises
    ------
    SystemExit
        There is none.
    """
    folder = datasets / data_set
    if not folder.is_dir():
        raise SystemExit(
            f"no folder {data_set} in {datasets}; name the folder that holds it with --datasets DIR"
        )
    return folder
