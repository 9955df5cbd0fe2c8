"""Labels from a column of the ingested tables: what is learned beside, and what judges it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from recsys.data.holdout import counted
from recsys.errors import ConfigError

from .output import note

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from scipy.sparse import csr_array

    from recsys.data.artefact import InteractionStore
    from recsys.data.splits import Split
    from recsys.vae.labels import Bearer, FoundLabels, Labels
    from recsys.vae.model import VAE

    from .config import ModelSettings

HELD_OUT_SHARE = 0.1
"""Of the known labels, where those that bear them are trained on themselves."""


@dataclass(frozen=True, eq=False)
class LabelTask:
    """Labels to train on, and others to judge by.

    Parameters
    ----------
    column : str
    labels : Labels
        Of the users or items of the training.
    held_out : int64 or None, shape (n_users,) or (n_items,)
        Positions that are not trained on; None where the split holds nobody out.
    histories : csr_array or None
        Of the users of `held_out`, all that is known of them; None where it is items.
    """

    column: str
    labels: "Labels"
    held_out: "NDArray[np.int64] | None"
    histories: "csr_array | None"

    @property
    def measure(self) -> "Callable[[VAE], float] | None":
        """Share of the labels that are held out and told right; higher is better."""
        return None if self.held_out is None else self._accuracy

    def _accuracy(self, vae: "VAE") -> float:
        from recsys.vae.labels import label_accuracy

        assert self.held_out is not None
        if self.histories is None:
            return label_accuracy(vae.item_label_probabilities(), self.held_out)
        return label_accuracy(vae.label_probabilities(self.histories), self.held_out)

    @property
    def floor(self) -> float:
        """Accuracy of telling everyone the label that is most frequent in training."""
        assert self.held_out is not None
        known = self.held_out[self.held_out >= 0]
        return float((known == 0).mean())


def find_task(
    store: "InteractionStore", split: "Split", settings: "ModelSettings", seed: int
) -> LabelTask | None:
    """Find the labels in the ingested tables; None where none were asked for.

    Validation users who are not trained on judge; where there are none, or items bear the
    labels, a tenth of the labels is held out at random.

    Raises
    ------
    ConfigError
        No table has the column, or both have it and nobody said which is meant.
    DataError
        Too few bear the same label.
    """
    if settings.label is None:
        return None
    from recsys.vae.labels import find_labels, first_values

    tables: dict[Bearer, pd.DataFrame] = {"users": store.user_table, "items": store.item_table}
    on = _bearer(tables, settings.label, settings.label_on)
    table = tables[on]
    key = {"users": "user_id", "items": "item_id"}[on]
    label_of = first_values(dict(zip(table[key], table[settings.label], strict=True)))
    ids = split.train.users if on == "users" else split.train.items
    found = find_labels(ids, label_of, on=on, fewest=settings.fewest_bearers)
    _note_found(found, settings, len(ids))
    if split.validation is None:
        return LabelTask(settings.label, found.labels, None, None)
    fold_in = split.validation.fold_in
    if on == "users" and not any(each in split.train.users for each in fold_in.users.ids):
        told = found.labels.kind.positions(fold_in.users, label_of)
        if (told >= 0).any():
            return LabelTask(settings.label, found.labels, told, split.validation.whole())
    kept, held_out = found.labels.parted(HELD_OUT_SHARE, seed)
    if not held_out.n_known:
        return LabelTask(settings.label, found.labels, None, None)
    histories = split.train.matrix if on == "users" else None
    return LabelTask(settings.label, kept, held_out.positions, histories)


def _bearer(tables: Mapping["Bearer", "pd.DataFrame"], column: str, wanted: str) -> "Bearer":
    """Find the table that has the column."""
    columns = {
        on: [each for each in table.columns if each not in ("user_id", "item_id")]
        for on, table in tables.items()
        if len(table) and wanted in ("auto", on)
    }
    having = [on for on, names in columns.items() if column in names]
    if len(having) == 1:
        return having[0]
    if having:
        raise ConfigError(
            f"--label {column}: users and items have it; add --label-on users or items"
        )
    known = "; ".join(f"{on}: {', '.join(names)}" for on, names in columns.items())
    raise ConfigError(
        f"--label {column}: no such column; "
        + (f"found {known}" if known else f"no table of {_whose(wanted)} was ingested")
    )


def _whose(wanted: str) -> str:
    return "users or items" if wanted == "auto" else wanted


def _note_found(found: "FoundLabels", settings: "ModelSettings", n_bearers: int) -> None:
    labels = found.labels
    note(
        f"labels: {settings.label} of {labels.n_known:,} of {n_bearers:,} {labels.kind.on}"
        f", {counted(len(labels.kind), 'name')}"
    )
    if found.n_rare_names:
        note(
            f"labels: put aside {counted(found.n_rare_names, 'name')} of fewer than "
            f"{settings.fewest_bearers} {labels.kind.on}, {found.n_rare_bearers:,} in all"
        )
