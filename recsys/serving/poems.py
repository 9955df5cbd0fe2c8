"""What a workspace of poems adds to the service: similar poems, and poems that it writes."""

from dataclasses import dataclass
from pathlib import Path

from recsys import storage
from recsys.errors import ArtefactError, ConfigError
from recsys.recommender import Recommender
from recsys.vae.artefact import open_model
from recsys.verse.answers import SimilarPoems
from recsys.verse.desk import Desk
from recsys.verse.lookup_artefact import is_current, load_lookup


class MissingPartError(ConfigError):
    """What is asked for does not go with the data that are served."""


@dataclass(frozen=True, eq=False)
class Poems:
    """The look-up and the desk, or why there is none.

    Parameters
    ----------
    lookup : SimilarPoems or None
    writing : Desk or None
    missing : tuple of str
        One line for each part that a workspace of poems could have and this one has not.
    """

    lookup: SimilarPoems | None = None
    writing: Desk | None = None
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, root: Path, recommender: Recommender) -> "Poems":
        """Load what is there and belongs to the model that is served."""
        store = recommender.store
        if store.user_table.empty:
            return cls()
        model = open_model(root / "model")
        if model.manifest.fingerprint != recommender.index.model_fingerprint:
            raise ArtefactError(f"{root / 'model'} was replaced while it was loaded; load it again")
        lookup, desk, missing = None, None, []
        if is_current(root / "lookup", model, store):
            lookup = SimilarPoems.of(load_lookup(root / "lookup", recommender.vae, store))
        else:
            missing.append("no look-up of these poems: `recsys similar --text` builds it")
        if storage.existing_folder(root / "verse") is None:
            missing.append("no couplet model: `recsys train --verse` makes one")
        else:
            try:
                desk = Desk.open(root)
            except (ArtefactError, ConfigError) as error:  # of another model, or no tone tables
                missing.append(str(error))
        return cls(lookup, desk, tuple(missing))

    @property
    def similar(self) -> SimilarPoems:
        """The look-up.

        Raises
        ------
        MissingPartError
            There is none.
        """
        if self.lookup is None:
            raise MissingPartError(self._why("similar poems"))
        return self.lookup

    @property
    def desk(self) -> Desk:
        """Where verse is written.

        Raises
        ------
        MissingPartError
            There is none.
        """
        if self.writing is None:
            raise MissingPartError(self._why("verse"))
        return self.writing

    def _why(self, what: str) -> str:
        reason = "; ".join(self.missing) or "its data are no poems"
        return f"this workspace serves no {what}: {reason}"
