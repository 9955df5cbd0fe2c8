"""The writing desk: poems, models and tables of a workspace, loaded for writing."""

from dataclasses import dataclass
from pathlib import Path

from recsys.data.artefact import open_interactions
from recsys.data.poem_units import units_of
from recsys.data.poems import Poem
from recsys.errors import DataError
from recsys.vae.artefact import load_model, open_model
from recsys.vae.model import VAE
from recsys.verse.antithesis import Antithesis
from recsys.verse.composing import Composer
from recsys.verse.couplet_artefact import open_writer
from recsys.verse.finding import PoemNames
from recsys.verse.lookup_artefact import require_poems
from recsys.verse.novelty import ExistingLines
from recsys.verse.requests import rhyme_weights
from recsys.verse.scoring import Judge, log_frequency
from recsys.verse.scripts import Scripts
from recsys.verse.themes import Themes
from recsys.verse.tones import ToneTable


@dataclass(frozen=True)
class ThemeWords:
    """What of a theme counts.

    Parameters
    ----------
    text : str
        Its characters that the model has met.
    unknown : tuple of str
        Those that it has not.
    """

    text: str
    unknown: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Desk:
    """What writing takes, loaded.

    Parameters
    ----------
    composer : Composer
    vae : VAE
        Of bags of characters.
    names : PoemNames
        Of the workspace's poems.
    scripts : Scripts
    """

    composer: Composer
    vae: VAE
    names: PoemNames
    scripts: Scripts

    @classmethod
    def open(cls, root: Path, device: str = "cpu") -> "Desk":
        """Load what a workspace holds.

        Parameters
        ----------
        root : Path
            A workspace in which poems were ingested, and both models trained.
        device : str

        Raises
        ------
        ArtefactError
            A part is missing, damaged, or belongs to another.
        ConfigError
            The workspace holds no poems, or its model has no latent codes.
        """
        store = open_interactions(root / "interactions")
        require_poems(store)
        model = open_model(root / "model")
        vae = load_model(model, device)
        vae.require_codes("verse is written")
        poems = store.poems()
        counts = dict(zip(vae.items.ids.tolist(), vae.item_counts.tolist(), strict=True))
        scripts = Scripts.of(counts)
        table = ToneTable.load(simplified=scripts.is_simplified)
        writer = open_writer(root / "verse", model, device)
        judge = Judge(
            log_frequency(poems, writer.characters),
            ExistingLines.of(poems),
            Antithesis.of(poems),
            Themes.of(vae, writer.characters, poems),
        )
        ends = [line[-1] for poem in poems for line in poem.lines[1::2]]
        composer = Composer(writer, judge, table, rhyme_weights(ends, table))
        return cls(composer, vae, PoemNames(poems), scripts)

    def poem(self, key: str) -> Poem:
        """Find a poem by id or title; `PoemNames.find` says how."""
        return self.names.poems[self.names.find(key)]

    def theme(self, words: str) -> ThemeWords:
        """Bring the words of a theme to the model's characters.

        Raises
        ------
        DataError
            It has met none of them.
        """
        units = list(dict.fromkeys(units_of(self.scripts.to_source(words), "character")))
        met = self.vae.items.find(units) >= 0
        known = [each for each, is_met in zip(units, met, strict=True) if is_met]
        if not known:
            raise DataError(
                f"the theme {words!r} holds no character that the model has met (it knows "
                f"{len(self.vae.items):,}); name things that poems speak of, such as 明月"
            )
        return ThemeWords("".join(known), tuple(each for each in units if each not in set(known)))
