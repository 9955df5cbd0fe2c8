"""How well the couplet VAE foretells couplets of unseen poems, and what its code carries.

Of a workspace with poems, both models, and test users (the README's commands for poems, with
--test-size 3000):

    python benchmarks/couplets.py --workspace DIR
    python benchmarks/couplets.py --workspace DIR --parts vae,language-model,seed-model

All figures are nats a couplet, on test couplets of the workspace's own split, by poem; couplets
with a character outside the stated vocabulary are left out. "Nothing told" means that the model
knows the couplet's width alone; "told" that it knows form, tones, rhyme, and the code of the
poem's other couplets, which do not hold the couplet itself.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from machine import describe_run
from torch import Tensor

from recsys.data.artefact import open_interactions
from recsys.vae.artefact import load_model, load_model_split, open_model
from recsys.vae.schedule import cosine_rate
from recsys.verse.config import VerseConfig
from recsys.verse.corpus import Corpus
from recsys.verse.couplet_artefact import open_writer
from recsys.verse.couplet_module import CoupletModule, GRUModule, Told
from recsys.verse.couplet_training import shuffled_batches, train_couplets
from recsys.verse.couplet_vae import CoupletVAE
from recsys.verse.couplets import Couplets
from recsys.verse.measures import (
    code_use,
    importance_weighted_nll,
    log_likelihoods,
    nats_lost_by_another_code,
    negative_elbo,
)
from recsys.verse.novelty import distinct_pairs
from recsys.verse.tones import ToneTable

MOST_WEIGHTED, MOST_ELBO, MOST_ABOVE = 58.5, 59.0, 0.3
LEAST_INFORMATION, LEAST_LOST = 5.0, 4.0
TALK = "the talk's own curve while training, simplified script: 61.67, 61.64, 61.61 (epochs 42-44)"
SAMPLED = 1000
PARTS = ("vae", "language-model", "seed-model")


class LanguageModel(GRUModule):
    """The same network without a code."""

    def log_likelihood(self, rows: Tensor, latents: Tensor, told: Told) -> Tensor:
        """See `CoupletModule`; the code is ignored."""
        return super().log_likelihood(rows, torch.zeros_like(latents), told)


def unigram_nll(train: Couplets, test: Couplets, n_characters: int) -> float:
    """Nats a couplet where every character is foretold by its frequency, each counted once more."""
    counts = np.bincount(train.rows.ravel(), minlength=n_characters) + 1.0
    log_share = np.log(counts / counts.sum())
    return float(-log_share[test.rows].sum(axis=1).mean())


def fit_language_model(corpus: Corpus, config: VerseConfig) -> CoupletModule:
    """Train the network without a code on the same couplets, as many epochs, nothing told."""
    torch.manual_seed(config.seed)
    model = LanguageModel(len(corpus.vocabulary), len(corpus.vocabulary.rhymes), 0, config)
    optimiser = torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, betas=(0.9, 0.99), fused=True
    )
    rng = np.random.default_rng(config.seed)
    for epoch in range(config.epochs):
        started, total, n = time.perf_counter(), 0.0, 0
        batches = shuffled_batches(corpus.train, config.batch_size, rng)
        model.train()
        for number, (width, places) in enumerate(batches):
            rate = cosine_rate(
                config.learning_rate, (epoch + number / len(batches)) / config.epochs
            )
            for group in optimiser.param_groups:
                group["lr"] = rate
            rows = torch.from_numpy(corpus.train[width].rows[places])
            nll = -model.log_likelihood(rows, *_nothing(len(rows), config)).mean()
            optimiser.zero_grad(set_to_none=True)
            nll.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            total, n = total + float(nll.detach()) * len(rows), n + len(rows)
        model.eval()
        seconds = time.perf_counter() - started
        held_out = _language_nll(model, corpus.validation[5], config).mean()
        print(
            f"language model, epoch {epoch + 1}: {total / n:.2f} nats, {held_out:.2f} on "
            f"validation couplets of 5, {seconds:.0f} s",
            flush=True,
        )
    return model


def _nothing(n: int, config: VerseConfig) -> tuple[Tensor, Told]:
    told = Told(torch.zeros(n, 3, dtype=torch.int64), torch.zeros(n, 0))
    return torch.zeros(n, config.latent_dim), told


def _language_nll(model: CoupletModule, couplets: Couplets, config: VerseConfig) -> np.ndarray:
    untold = replace(couplets, codes=np.empty((len(couplets), 0), dtype=np.float32)).untold()
    return -log_likelihoods(model, untold, torch.zeros(len(couplets), config.latent_dim))


def report_vae(writer: CoupletVAE, corpus: Corpus, samples: int, n_weighed: int) -> None:
    """Print the table of both widths."""
    module = writer.module
    print(
        "\n| characters a line | couplets | unigram | ELBO | importance-weighted "
        f"(K {samples}) | told: ELBO | told: weighted | KL | information | active | under another "
        "code |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    )
    for width, told in corpus.test.items():
        untold = told.untold()
        unigram = unigram_nll(corpus.train[width], told, len(corpus.vocabulary))
        elbo = negative_elbo(module, untold).mean()
        weighed = _evenly(told, n_weighed)
        weighted = importance_weighted_nll(module, weighed.untold(), samples)
        told_elbo = negative_elbo(module, told).mean()
        told_weighted = importance_weighted_nll(module, weighed, samples).mean()
        use = code_use(module, untold)
        lost = nats_lost_by_another_code(module, untold).mean()
        error = weighted.std(ddof=1) / len(weighted) ** 0.5
        print(
            f"| {width} | {len(told):,} | {unigram:.2f} | {elbo:.2f} | {weighted.mean():.2f} "
            f"±{1.96 * error:.2f} | {told_elbo:.2f} | {told_weighted:.2f} | {use.kl:.2f} | "
            f"{use.mutual_information:.2f} | {use.active_units}/{module.latent_dim} | "
            f"+{lost:.2f} |",
            flush=True,
        )
        if width == 5:
            _verdict("importance-weighted", float(weighted.mean()), MOST_WEIGHTED)
            _verdict("ELBO", float(elbo), MOST_ELBO)
            _verdict("information", -use.mutual_information, -LEAST_INFORMATION)
            _verdict("nats lost under another code", -float(lost), -LEAST_LOST)


def _evenly(couplets: Couplets, n: int) -> Couplets:
    return couplets.select(np.arange(0, len(couplets), -(-len(couplets) // n)))


def report_language_model(corpus: Corpus, config: VerseConfig, n_weighed: int) -> None:
    """Train a language model as long and print what it gives the same test couplets."""
    language = fit_language_model(corpus, config)
    for width, couplets in corpus.test.items():
        nll = _language_nll(language, couplets, config).mean()
        weighed = _language_nll(language, _evenly(couplets, n_weighed), config).mean()
        print(
            f"language model, {width} characters a line: {nll:.2f} nats; {weighed:.2f} on the "
            f"couplets that were weighed, where the VAE may have {MOST_ABOVE} more"
        )


def _verdict(name: str, value: float, most: float) -> None:
    print(f"  {name}: {abs(value):.2f} ({'met' if value <= most else 'missed'}: {abs(most)})")


def report_seed(corpus: Corpus, config: VerseConfig, epochs: int) -> None:
    """Train the talk's network and print its curve; couplets of five characters a line."""
    seed = replace(config, model="seed", epochs=epochs, batch_size=64, learning_rate=1e-3)
    print(f"\nthe talk's network, {epochs} epochs, batch 64; {TALK}")
    writer = train_couplets(
        corpus.train,
        corpus.validation,
        corpus.vocabulary,
        seed,
        on_epoch=lambda each: print(
            f"epoch {each.epoch}: loss {each.loss:.2f}, validation {each.elbo['5']:.2f}, KL "
            f"{each.kl:.2f}, information {each.mutual_information:.2f}, {each.seconds:.0f} s, "
            f"{each.sample}",
            flush=True,
        ),
    )
    print(
        f"ELBO on test couplets {negative_elbo(writer.module, corpus.test[5].untold()).mean():.2f}"
    )
    _report_samples("the talk's network, likeliest characters", writer, 0.0)


def _report_samples(name: str, writer: CoupletVAE, temperature: float) -> None:
    couplets = writer.sample(5, SAMPLED, temperature, np.random.default_rng(0))
    print(f"{name}: distinct-2 of {SAMPLED:,} couplets {distinct_pairs(couplets):.3f}; the first:")
    print("  " + "  ".join("，".join(each) for each in couplets[:4]))


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspace", type=Path, required=True, metavar="DIR")
    parser.add_argument("--parts", default="vae", metavar="P,P,..", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--samples", type=int, default=100, metavar="K", help="codes a couplet")
    parser.add_argument(
        "--couplets", type=int, default=3000, metavar="N", help="of a width, weighed"
    )
    parser.add_argument("--seed-epochs", type=int, default=5, metavar="N")
    options = parser.parse_args()
    print(describe_run())
    model = open_model(options.workspace / "model")
    writer = open_writer(options.workspace / "verse", model)
    poems = open_interactions(options.workspace / "interactions").poems()
    corpus = Corpus.of(poems, load_model_split(model), load_model(model), ToneTable.load())
    print(corpus.sizes())
    n_weights = sum(each.numel() for each in writer.module.parameters())
    print(f"{writer.config}; {n_weights:,} weights")
    parts = options.parts.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--parts {options.parts}: expected some of {', '.join(PARTS)}")
    if "vae" in parts:
        report_vae(writer, corpus, options.samples, options.couplets)
        _report_samples("the couplet VAE without masks, temperature .8", writer, 0.8)
    if "language-model" in parts:
        report_language_model(corpus, writer.config, options.couplets)
    if "seed-model" in parts:
        report_seed(corpus, writer.config, options.seed_epochs)


if __name__ == "__main__":
    main()
