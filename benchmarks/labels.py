"""How well labels are told by the code that is trained with them, beside two peers.

A poem's author (the 20 most frequent) and a film's first genre, with 1 %, 10 % and 100 % of the
training labels; everything else is trained on without its label:

    python benchmarks/labels.py tang-poems
    python benchmarks/labels.py ml-100k --seeds 1,2,3

The peers are multinomial naive Bayes on the counts and a linear probe: logistic regression on the
codes of the VAE that has seen no label. Both get the setting that is best on the test labels;
ours gets none.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from data_sets import BESIDE_THE_CHECKOUT, folder_of
from machine import describe_run
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch.nn.functional import cross_entropy

from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.items import read_items
from recsys.data.poem_files import read_poems
from recsys.data.poem_units import poem_events
from recsys.data.readers import read_events
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.labels import (
    UNKNOWN,
    Labels,
    LabelSet,
    find_labels,
    first_values,
    label_accuracy,
)
from recsys.vae.model import VAE
from recsys.vae.tally import EpochReport
from recsys.vae.training import train

N_AUTHORS, N_CHARACTERS = 20, 4000
FEWEST_FILMS = 10
SHARES = (0.01, 0.1, 1.0)
TEST_SHARE = 0.1
SMOOTHING = (0.01, 0.1, 1.0)
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, eq=False)
class Task:
    """Who is trained on, and who bears which label.

    Parameters
    ----------
    interactions : Interactions
        Of everybody, those of the test as well.
    labels : Labels
        Of the users or the items of `interactions`.
    """

    interactions: Interactions
    labels: Labels


@dataclass(frozen=True, eq=False)
class Trial:
    """A task with its test labels put aside.

    Parameters
    ----------
    trained_on : Interactions
        Without the users that are tested; all of them where items are.
    labels : Labels
        Of these users, or of the items.
    inputs, test_inputs : csr_array
        What naive Bayes reads of those that train and those that are tested: a row each.
    test_labels : int64
        Of the rows of `test_inputs`.
    """

    trained_on: Interactions
    labels: Labels
    inputs: csr_array
    test_inputs: csr_array
    test_labels: NDArray[np.int64]


def poems_and_authors(folder: Path) -> Task:
    """Poems x their most frequent characters, and the most frequent authors."""
    poems = read_poems(folder / "poems.json.gz")[0]
    everything = poem_events(poems, "character").interactions()
    counts = np.asarray(everything.matrix.sum(axis=0))
    frequent = np.argsort(-counts, kind="stable")[:N_CHARACTERS]
    characters = IdMap.of(everything.items.ids[frequent], "item")
    interactions = everything.joined_to(characters)[0]
    author_of = {each.id: each.author for each in poems if each.author}
    names = [name for name, _ in Counter(author_of.values()).most_common(N_AUTHORS)]
    kind = LabelSet("users", tuple(names))
    return Task(interactions, Labels(kind, kind.positions(interactions.users, author_of)))


def films_and_genres(folder: Path) -> Task:
    """Users x films, and the films' first genres."""
    interactions = read_events(folder / "ratings.csv.gz")[0].interactions()
    table = read_items(folder / "items.csv.gz")
    genre_of = first_values(dict(zip(table["item_id"], table["genres"], strict=True)))
    found = find_labels(interactions.items, genre_of, on="items", fewest=FEWEST_FILMS)
    return Task(interactions, found.labels)


def try_out(task: Task, seed: int) -> Trial:
    """Hold a tenth of the labels out; users that bear one are not trained on either."""
    kept, held_out = task.labels.parted(TEST_SHARE, seed)
    tested = np.flatnonzero(held_out.positions != UNKNOWN)
    everybody = task.interactions
    rows = everybody.matrix if task.labels.kind.on == "users" else everybody.matrix.T.tocsr()
    stay = np.setdiff1d(np.arange(rows.shape[0]), tested)
    test_inputs, test_labels = rows[tested], held_out.positions[tested]
    if task.labels.kind.on == "items":
        return Trial(everybody, kept, rows, test_inputs, test_labels)
    left = everybody.select_users(stay)
    labels = replace(kept, positions=kept.positions[stay])
    return Trial(left, labels, left.matrix, test_inputs, test_labels)


def fit(trial: Trial, labels: Labels | None, options: argparse.Namespace, seed: int) -> VAE:
    """Train the VAE, with the labels that it may know."""
    config = VAEConfig(
        values="weighted" if trial.labels.kind.on == "users" else "binary",
        kl_weight=options.kl_weight,
        latent_dim=options.latents,
        hidden_dim=options.hidden,
        encoder_layers=2,
        dropout=options.dropout,
        members=1,
        label_weight=options.label_weight,
    )
    training = TrainingConfig(epochs=options.epochs, batch_size=options.batch_size, seed=seed)
    reports: list[EpochReport] = []
    vae = train(trial.trained_on, config, training, labels=labels, on_epoch=reports.append)
    nats = reports[-1].reconstruction + reports[-1].kl
    print(f"last epoch, without the labels' part: {nats:.2f} nats a user", flush=True)
    return vae


def of_vae(vae: VAE, trial: Trial, tested: NDArray[np.int64]) -> float:
    """Accuracy of the head that was trained with the VAE."""
    if trial.labels.kind.on == "users":
        return label_accuracy(vae.label_probabilities(trial.test_inputs), trial.test_labels)
    return label_accuracy(vae.item_label_probabilities()[tested], trial.test_labels)


def naive_bayes(trial: Trial, labels: Labels) -> float:
    """Accuracy of multinomial naive Bayes at the best smoothing."""
    known = np.flatnonzero(labels.positions != UNKNOWN)
    told = labels.positions[known]
    bears = np.eye(len(labels.kind))[told]
    counts = bears.T @ trial.inputs[known].toarray()
    prior = np.log(bears.sum(axis=0) + 1)
    found = []
    for smoothing in SMOOTHING:
        weight = np.log(counts + smoothing)
        weight -= np.log((counts + smoothing).sum(axis=1, keepdims=True))
        found.append(label_accuracy(trial.test_inputs @ weight.T + prior, trial.test_labels))
    return max(found)


def linear_probe(
    codes: NDArray[np.float32], test_codes: NDArray[np.float32], trial: Trial, labels: Labels
) -> float:
    """Accuracy of logistic regression on standardised codes at the best penalty."""
    known = np.flatnonzero(labels.positions != UNKNOWN)
    mean, spread = codes.mean(axis=0), codes.std(axis=0) + 1e-6
    inputs = torch.from_numpy((codes[known] - mean) / spread)
    targets = torch.from_numpy(labels.positions[known])
    test_inputs = torch.from_numpy((test_codes - mean) / spread)
    probes = [_probe(inputs, targets, len(labels.kind), penalty) for penalty in PENALTIES]
    with torch.inference_mode():
        found = [label_accuracy(each(test_inputs).numpy(), trial.test_labels) for each in probes]
    return max(found)


def _probe(
    inputs: torch.Tensor, targets: torch.Tensor, n_labels: int, penalty: float
) -> torch.nn.Linear:
    probe = torch.nn.Linear(inputs.shape[1], n_labels)
    torch.nn.init.zeros_(probe.weight)
    torch.nn.init.zeros_(probe.bias)
    optimiser = torch.optim.LBFGS(probe.parameters(), max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = cross_entropy(probe(inputs), targets) + penalty * probe.weight.square().sum()
        value.backward()
        return value

    optimiser.step(loss)
    return probe


def measure(task: Task, options: argparse.Namespace, seed: int) -> dict[float, list[float]]:
    """Share of the labels -> accuracies of naive Bayes, the probe and ours."""
    trial = try_out(task, seed)
    tested = np.flatnonzero(task.labels.parted(TEST_SHARE, seed)[1].positions != UNKNOWN)
    plain = fit(trial, None, options, seed)
    if trial.labels.kind.on == "users":
        codes, test_codes = plain.encode(trial.inputs), plain.encode(trial.test_inputs)
    else:
        codes = plain.item_vectors()[:, :-1]
        test_codes = codes[tested]
    found = {}
    for share in SHARES:
        labels = trial.labels.parted(1 - share, seed)[0]
        found[share] = [
            naive_bayes(trial, labels),
            linear_probe(codes, test_codes, trial, labels),
            of_vae(fit(trial, labels, options, seed), trial, tested),
        ]
        shown = "  ".join(f"{each:.1%}" for each in found[share])
        print(f"seed {seed}, {labels.n_known:,} labels: {shown}", flush=True)
    return found


TASKS: dict[str, Callable[[Path], Task]] = {
    "tang-poems": poems_and_authors,
    "ml-100k": films_and_genres,
}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data_set", choices=TASKS)
    parser.add_argument("--datasets", type=Path, default=BESIDE_THE_CHECKOUT, metavar="DIR")
    parser.add_argument("--seeds", default="1", metavar="N,N,..", help="the figures are means")
    parser.add_argument("--label-weight", type=float, metavar="W", help="(default: the library's)")
    parser.add_argument("--epochs", type=int, default=15, metavar="N")
    parser.add_argument("--batch-size", type=int, default=250, metavar="N")
    parser.add_argument("--latents", type=int, default=50, metavar="N")
    parser.add_argument("--hidden", type=int, default=200, metavar="N")
    parser.add_argument("--dropout", type=float, default=0.5, metavar="P")
    parser.add_argument("--kl-weight", type=float, default=0.005, metavar="W")
    return parser.parse_args()


def main() -> None:
    """Measure with every seed, and print the means."""
    options = parse()
    print(describe_run())
    torch.set_num_threads(1)
    started = time.perf_counter()
    task = TASKS[options.data_set](folder_of(options.data_set, options.datasets))
    on, names = task.labels.kind.on, task.labels.kind.names
    print(
        f"{task.interactions.n_users:,} users x {task.interactions.n_items:,} items; "
        f"{task.labels.n_known:,} {on} bear one of {len(names)} labels, "
        f"{(task.labels.positions == 0).sum() / task.labels.n_known:.1%} of them {names[0]!r}"
    )
    seeds = [int(each) for each in options.seeds.split(",")]
    trials = [measure(task, options, seed) for seed in seeds]
    print("\n| training labels | naive Bayes | linear probe | trained with the VAE |")
    print("|---|--:|--:|--:|")
    for share in SHARES:
        means = np.mean([each[share] for each in trials], axis=0)
        print(f"| {share:.0%} | " + " | ".join(f"{each:.1%}" for each in means) + " |")
    print(f"\n{time.perf_counter() - started:,.0f} s")


if __name__ == "__main__":
    main()
