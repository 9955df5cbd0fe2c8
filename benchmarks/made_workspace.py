"""A workspace with a model that nobody trained: plausible histories and scores of any size."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from recsys.data.artefact import open_interactions, save_interactions
from recsys.data.ids import IdMap
from recsys.data.interactions import Events, Interactions, csr_from_pairs
from recsys.data.splits import Split
from recsys.indexing import build_index
from recsys.neighbours.artefact import save_item_item
from recsys.neighbours.item_item import ItemItem
from recsys.vae.artefact import load_model, open_model, save_model
from recsys.vae.config import VAEConfig
from recsys.vae.model import VAE, VAEModule

MEAN_HISTORY = 80
# Zipf's law repeats the popular items within a history: draw more than are to be left.
DRAWN_PER_KEPT = 1.33
SCORE_SPREAD = 0.15
ALIKE = 0.96
"""Share of the tastes' variance that members have in common, up to a turn: trained ones hold .967
to .998 of the length of their vectors side by side in half of the directions."""


@dataclass(frozen=True)
class Size:
    """How much is made; `neighbours` 0 is a VAE alone, of so many `members`."""

    users: int
    items: int
    latents: int
    neighbours: int = 0
    mean_history: int = MEAN_HISTORY
    members: int = 1


def make_events(size: Size, rng: np.random.Generator) -> Events:
    """Draw log-normal history lengths and Zipf items; every pair once, in random file order."""
    activity = rng.lognormal(sigma=1.0, size=size.users)
    wanted = size.mean_history * activity / activity.mean()
    lengths = np.maximum(1, DRAWN_PER_KEPT * wanted).astype(np.int64)
    popularity = 1 / np.arange(1, size.items + 1)
    places = np.cumsum(popularity / popularity.sum())
    drawn = np.searchsorted(places, rng.random(lengths.sum())).clip(max=size.items - 1)
    # Popular items lie anywhere in a real catalogue.
    items = rng.permutation(size.items)[drawn]
    users = np.repeat(np.arange(size.users), lengths)
    pairs = rng.permutation(np.unique(users * size.items + items))
    events = Events(
        users=_numbered(size.users, "user"),
        items=_numbered(size.items, "item"),
        user_positions=(pairs // size.items).astype(np.int32),
        item_positions=(pairs % size.items).astype(np.int32),
        values=np.ones(len(pairs), dtype=np.float32),
        timestamps=None,
        value_kind="none",
    )
    return events.select(np.ones(len(pairs), dtype=bool))


def _numbered(n: int, noun: str) -> IdMap:
    return IdMap.in_order(map(str, range(n)), noun)


def make_vae(size: Size, events: Events) -> VAE:
    """Build a model that nobody trained: popularity in the bias, tastes of a like spread."""
    config = VAEConfig(values="binary", latent_dim=size.latents, members=size.members)
    catalogue = _numbered(size.items, "item")
    counts = np.zeros(size.items, dtype=np.int64)
    counts[catalogue.find(events.items.ids)] = events.interactions().item_counts()
    torch.manual_seed(0)
    return VAE(
        config=config,
        items=catalogue,
        members=_make_members(size, config, counts),
        item_means=np.zeros(size.items, dtype=np.float32),
        item_counts=counts,
        n_train_users=size.users,
        liked_value=1.0,
    )


def _make_members(size: Size, config: VAEConfig, counts: np.ndarray) -> tuple[VAEModule, ...]:
    tastes = torch.randn(size.items, size.latents)
    popularity = torch.from_numpy(np.log1p(counts).astype(np.float32))
    members = []
    for _ in range(size.members):
        module = VAEModule(size.items, config).eval()
        turn = torch.linalg.qr(torch.randn(size.latents, size.latents)).Q
        own = torch.randn(size.items, size.latents)
        with torch.no_grad():
            module.decoder.weight.copy_(ALIKE**0.5 * tastes @ turn + (1 - ALIKE) ** 0.5 * own)
            module.decoder.weight.mul_(SCORE_SPREAD)
            module.decoder.bias.copy_(popularity)
        members.append(module)
    return tuple(members)


def make_item_item(vae: VAE, size: Size) -> ItemItem:
    """Draw each item's neighbours by popularity, as real neighbourhoods lean."""
    rng = np.random.default_rng(1)
    places = np.cumsum(np.sqrt(vae.item_counts + 1.0))
    drawn = rng.random(size.items * size.neighbours) * places[-1]
    rows = np.searchsorted(places, drawn).clip(max=size.items - 1)
    columns = np.repeat(np.arange(size.items), size.neighbours)
    pairs = np.unique(rows * size.items + columns)
    values = rng.normal(scale=0.02, size=len(pairs)).astype(np.float32)
    shape = (size.items, size.items)
    return ItemItem(csr_from_pairs(pairs // size.items, pairs % size.items, values, shape))


def make_workspace(workspace: Path, size: Size) -> None:
    """Write the three artefacts that `recsys score` reads."""
    events = make_events(size, np.random.default_rng(0))
    save_interactions(events, None, workspace / "interactions", config={}, metrics={})
    vae = make_vae(size, events)
    save_model(
        vae,
        _tiny_split(vae.items),
        workspace / "model",
        training={"tau": 10.0},
        metrics={},
        fingerprints={},
        also=partial(save_item_item, make_item_item(vae, size)) if size.neighbours else None,
    )
    model = open_model(workspace / "model")
    store = open_interactions(workspace / "interactions")
    build_index(load_model(model), store, model, workspace / "index")


def _tiny_split(items: IdMap) -> Split:
    """Give one user everything: scoring never looks at it, but a model has one."""
    columns = np.arange(len(items))
    row = csr_from_pairs(
        np.zeros_like(columns), columns, np.ones(len(items), np.float32), (1, len(items))
    )
    return Split(Interactions(_numbered(1, "user"), items, row), None, None, ())
