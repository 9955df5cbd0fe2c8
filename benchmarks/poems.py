"""How well the VAE foretells the characters of Tang poems that it never saw, beside the unigram.

Poems are read as `recsys ingest --poems` reads them and split by poem; characters are the most
frequent of the training poems, the others are left out. The VAE is the product's own, trained on
counts with the whole KL divergence from N(0, I) and kept after its last epoch:

    python benchmarks/poems.py
    python benchmarks/poems.py --epochs 40 --seed 43
"""

import argparse
import time
from pathlib import Path

import numpy as np
from data_sets import BESIDE_THE_CHECKOUT
from machine import describe_run

from recsys.data.holdout import Holdout, Split
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.poem_files import read_poems
from recsys.data.poem_units import poem_events
from recsys.data.splits import SplitConfig, split_events
from recsys.evaluation.language import Perplexities, measure_unigram, measure_vae
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.model import VAE
from recsys.vae.tally import EpochReport
from recsys.vae.training import train

TARGETS = Perplexities(whole=1120, completion=1085)
LAB_UNIGRAM = Perplexities(whole=1329, completion=1282)
HELD_OUT = 3000


def read(path: Path, n_characters: int) -> Split:
    """Read and split the poems, over the most frequent characters of those to train on."""
    poems, _ = read_poems(path)
    config = SplitConfig("strong", validation=HELD_OUT, test=HELD_OUT)
    split = split_events(poem_events(poems, "character"), config)
    counts = np.asarray(split.train.matrix.sum(axis=0))
    frequent = np.argsort(-counts, kind="stable")[:n_characters]
    items = IdMap.of(split.train.items.ids[frequent], "item")
    print(
        f"{split.train.n_users:,} poems to train on; {len(items):,} characters are "
        f"{counts[frequent].sum() / counts.sum():.1%} of all that are written in them"
    )
    return Split(
        train=_over(split.train, items),
        validation=_holdout_over(split.validation, items),
        test=_holdout_over(split.test, items),
        left_out=split.left_out,
    )


def _over(part: Interactions, items: IdMap) -> Interactions:
    return part.joined_to(items)[0]


def _holdout_over(part: Holdout | None, items: IdMap) -> Holdout:
    """Express a part over fewer items; poems with nothing held out any more are left out."""
    assert part is not None
    fold_in, held_out = _over(part.fold_in, items), _over(part.held_out, items)
    left = np.flatnonzero(held_out.history_lengths())
    return Holdout(fold_in.select_users(left), held_out.select_users(left))


def fit(poems: Interactions, options: argparse.Namespace) -> VAE:
    """Train the VAE on counts, with the evidence lower bound as its objective."""
    config = VAEConfig(
        values="weighted",
        prior="standard",
        kl_scale="constant",
        kl_weight=1,
        anneal_epochs=3,
        latent_dim=options.latents,
        hidden_dim=options.hidden,
        encoder_layers=options.layers,
        dropout=options.dropout,
        members=1,
    )
    training = TrainingConfig(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
        start="random",  # as `recsys train` has it for poems
    )
    print(f"{config}\n{training}")
    started = time.perf_counter()

    def show(report: EpochReport) -> None:
        print(
            f"epoch {report.epoch}: {report.loss:.2f} nats a poem, of these KL {report.kl:.2f}, "
            f"active {report.active_units}/{report.latent_dim}, "
            f"{time.perf_counter() - started:.0f} s",
            flush=True,
        )

    return train(poems, config, training, on_epoch=show)


def report(split: Split, vae: VAE) -> None:
    """Print both perplexities, on the poems that chose the settings and on those that report."""
    for name, part in (("validation", split.validation), ("test", split.test)):
        assert part is not None
        poems = part.whole()
        print(f"\n{poems.shape[0]:,} {name} poems, {poems.sum():,.0f} characters")
        print("| | perplexity (ELBO) | completing the other half |\n|---|--:|--:|")
        for model, found in (
            ("unigram", measure_unigram(split.train, poems)),
            ("VAE", measure_vae(vae, poems)),
            ("target", TARGETS),
            ("unigram that the target was set by", LAB_UNIGRAM),
        ):
            print(f"| {model} | {found.whole:.1f} | {found.completion:.1f} |")


def main() -> None:
    """Train once and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    poems = BESIDE_THE_CHECKOUT / "tang-poems" / "poems.json.gz"
    parser.add_argument("--poems", type=Path, default=poems, metavar="FILE|DIR")
    parser.add_argument("--characters", type=int, default=4000, metavar="N")
    parser.add_argument("--latents", type=int, default=50, metavar="N")
    parser.add_argument("--hidden", type=int, default=400, metavar="N", help="width of the encoder")
    parser.add_argument("--layers", type=int, default=1, metavar="N", help="of the encoder")
    parser.add_argument("--dropout", type=float, default=0.5, metavar="R")
    parser.add_argument("--epochs", type=int, default=40, metavar="N")
    parser.add_argument("--batch-size", type=int, default=250, metavar="N")
    parser.add_argument("--learning-rate", type=float, default=4e-3, metavar="R")
    parser.add_argument("--seed", type=int, default=42, metavar="N")
    options = parser.parse_args()
    print(describe_run())
    split = read(options.poems, options.characters)
    report(split, fit(split.train, options))


if __name__ == "__main__":
    main()
