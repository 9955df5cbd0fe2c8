"""The plain autoencoder's space beside the VAE's: both with two latents, in one picture.

    python benchmarks/regularity.py WORKSPACE regularity.png
    python benchmarks/regularity.py WORKSPACE regularity.png --ends ID ID --users 10000 --epochs 20

WORKSPACE holds interactions, of users or (as poems) of poems. With two latents the picture is the
space itself. Both models are the same network, trained alike on the same histories with the
multinomial likelihood; one of them without sampling and without KL. Drawn are the codes, the
prior's circles of one and two standard deviations, and the straight way between two histories;
below is what each model decodes along it. Printed: the codes' spread in each direction and their
centre, the share of N(0, I)'s samples that have a code within .2, and how far the middle between
two codes is from the nearest.
"""

import argparse
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from machine import describe_run
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial import KDTree

from recsys.data.artefact import InteractionStore, open_interactions
from recsys.data.interactions import Interactions
from recsys.maps import COLOURS, GREY, fonts_for
from recsys.vae.config import TrainingConfig, VAEConfig
from recsys.vae.paths import PATH_POINTS, decode_path, straight_path
from recsys.vae.training import train

SEED = 42
BATCH = 50
NEAR = 0.2
TOLD = 7
TRIED = 2000


@dataclass(frozen=True, eq=False)
class Space:
    """One model's plane: its codes, and the way between two of them with what is decoded."""

    name: str
    codes: NDArray[np.float32]
    path: NDArray[np.float32]
    decoded: tuple[tuple[str, ...], ...]

    def report(self) -> str:
        """One line of figures."""
        rng = np.random.default_rng(SEED)
        tree = KDTree(self.codes)
        drawn, _ = tree.query(rng.normal(size=(TRIED, 2)))
        pairs = self.codes[rng.integers(0, len(self.codes), (TRIED, 2))]
        to_middle, _ = tree.query(pairs.mean(axis=1))
        spread, centre = self.codes.std(axis=0), self.codes.mean(axis=0)
        return (
            f"{self.name}: spread {spread[0]:.2f} and {spread[1]:.2f} about {centre[0]:.2f} and "
            f"{centre[1]:.2f}; "
            f"{np.mean(drawn < NEAR):.1%} of samples of N(0, I) have a code within {NEAR}; "
            f"the middle of two codes is {np.median(to_middle) / spread.mean():.4f} spreads from "
            f"the nearest (median), {np.quantile(to_middle, 0.95) / spread.mean():.4f} "
            "(95 % of them at most)"
        )


def main() -> None:
    """Train both, print the figures, write the picture."""
    options = parsed()
    print(describe_run())
    store = open_interactions(options.workspace / "interactions")
    ends = options.ends or [str(each) for each in store.interactions.users.ids[:2]]
    users = chosen_users(store.interactions, options.users, ends)
    print(f"{users.n_users:,} of {store.interactions.n_users:,}, {options.epochs} epochs")
    config = VAEConfig(
        latent_dim=2,
        hidden_dim=200,
        encoder_layers=2,
        members=1,
        prior="standard",
        kl_scale="constant",
        kl_weight=1.0,
        anneal_epochs=options.epochs / 2,
        values="binary",
    )
    spaces = [
        space_of(
            "plain autoencoder", replace(config, autoencoder=True), users, store, ends, options
        ),
        space_of("VAE", config, users, store, ends, options),
    ]
    for each in spaces:
        print(each.report())
        for number, names in enumerate(each.decoded, start=1):
            print(f"  {number}  {' '.join(names)}")
    draw(spaces, groups_of(store, users), options.picture)


def chosen_users(interactions: Interactions, n: int, ends: list[str]) -> Interactions:
    """Take n users evenly from all of them, or all where there are no more, and the path's ends."""
    step = max(1, interactions.n_users // n)
    positions = np.arange(0, interactions.n_users, step)[:n]
    return interactions.select_users(np.union1d(positions, interactions.users.positions(ends)))


def space_of(
    name: str,
    config: VAEConfig,
    users: Interactions,
    store: InteractionStore,
    ends: list[str],
    options: argparse.Namespace,
) -> Space:
    """Train one model and look at its plane."""
    training = TrainingConfig(
        epochs=options.epochs,
        batch_size=BATCH,
        learning_rate=3e-3,
        validate_every=options.epochs,
        seed=SEED,
        start="random",  # as `recsys train` has it for poems
    )
    vae = train(users, config, training, validate=lambda _: 0.0)
    codes = vae.encode(users.matrix)
    start, end = users.users.positions(ends)
    titles = store.titles()
    names = [titles.get(each, each) for each in vae.items.ids]
    path = straight_path(codes[start], codes[end])
    return Space(name, codes, path, decode_path(vae, path, names, codes, TOLD))


def groups_of(store: InteractionStore, users: Interactions) -> tuple[list[str], NDArray[np.str_]]:
    """Forms of poems and their colours; users who are no poems are all of one colour."""
    form_of = dict(zip(store.user_table["user_id"], store.user_table["form"], strict=True))
    forms = [form_of.get(each, "") for each in users.users.ids]
    names = sorted(set(forms) - {"other"})
    colour_of = dict(zip(names, COLOURS, strict=False))
    return names, np.array([colour_of.get(each, GREY) for each in forms])


def draw(spaces: list[Space], groups: tuple[list[str], NDArray[np.str_]], picture: Path) -> None:
    """Write both planes side by side."""
    names, colours = groups
    text = "".join(name for each in spaces for row in each.decoded for name in row)
    from matplotlib import rc_context

    # It says that a Chinese font has no normal weight.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    with rc_context({"font.family": fonts_for(text + "".join(names))}):
        figure = Figure(figsize=(13, 8.5), dpi=130, layout="constrained")
        for axes, space in zip(figure.subplots(1, 2), spaces, strict=True):
            draw_space(axes, space, colours)
        for name, colour in zip(names, COLOURS, strict=False):
            if name:
                axes.scatter([], [], c=colour, label=name)
        if any(names):
            axes.legend(frameon=False, loc="upper right")
        figure.savefig(picture)


def draw_space(axes: Axes, space: Space, colours: NDArray[np.str_]) -> None:
    """Draw codes, prior and path, and write what is decoded below."""
    axes.scatter(space.codes[:, 0], space.codes[:, 1], c=colours, s=3, alpha=0.5, linewidths=0)
    angle = np.linspace(0, 2 * np.pi, 200)
    for radius in (1, 2):
        axes.plot(radius * np.cos(angle), radius * np.sin(angle), color="black", linewidth=0.7)
    axes.plot(space.path[:, 0], space.path[:, 1], "o-", color="black", markersize=9)
    for number in range(PATH_POINTS):
        axes.annotate(
            str(number + 1), space.path[number], color="white", ha="center", va="center", fontsize=7
        )
    axes.set_title(space.name, loc="left")
    axes.set_aspect("equal", adjustable="datalim")
    lines = [f"{n}  {' '.join(names)}"[:90] for n, names in enumerate(space.decoded, start=1)]
    axes.set_xlabel("\n".join(lines), loc="left", fontsize=9)


def parsed() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path, help="holds interactions")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--ends", nargs=2, metavar="ID", help="of the path  [the first two]")
    parser.add_argument("--users", type=int, default=10_000, help="to train on")
    parser.add_argument("--epochs", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
