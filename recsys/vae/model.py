"""The trained VAE: histories -> latent codes -> scores, in numpy on both sides."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import softmax
from torch import nn

from recsys.data.histories import row_blocks
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.vae.config import VAEConfig
from recsys.vae.encoder import Batch, Encoder
from recsys.vae.labels import Bearer, LabelSet

ENCODE_BATCH = 1024


class VAEModule(nn.Module):
    """Deep encoder, linear decoder: a score is an inner product, so an index can serve it.

    Where labels are known, a linear head on the code of a user or of an item tells them.
    """

    def __init__(self, n_items: int, config: VAEConfig, n_labels: int = 0) -> None:
        super().__init__()
        self.encoder = Encoder(n_items, config)
        self.decoder = nn.Linear(config.latent_dim, n_items)
        self.labels = nn.Linear(config.latent_dim, n_labels) if n_labels else None


class Posteriors(NamedTuple):
    """Gaussian posteriors of codes; float32, both of shape (n_users, latent_dim)."""

    means: NDArray[np.float32]
    deviations: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VAE:
    """A trained model with its catalogue.

    Its members were trained from different seeds, and their scores are averaged: with linear
    decoders that is one inner product of their codes side by side. A model of neighbours alone
    has no member, and each of its scores here is 0.

    Parameters
    ----------
    config : VAEConfig
        Of each member.
    items : IdMap
        The catalogue; a column of every history and score is a position here.
    members : tuple of VAEModule
    item_means : float32, shape (n_items,)
        What is taken from a value before it is encoded and given back to its score:
        the items' mean ratings, or zeros where x is binary or counts.
    item_counts : int64, shape (n_items,)
        Users of each item in training: the popularity that ranks for an empty history.
    n_train_users : int
    liked_value : float
        The value that "somebody liked this" stands for: the highest rating, or 1.
    labels : LabelSet or None
        What the members' heads tell.
    """

    config: VAEConfig
    items: IdMap
    members: tuple[VAEModule, ...]
    item_means: NDArray[np.float32]
    item_counts: NDArray[np.int64]
    n_train_users: int
    liked_value: float
    labels: LabelSet | None = None

    @property
    def n_items(self) -> int:
        """Size of the catalogue."""
        return len(self.items)

    @property
    def popularity(self) -> NDArray[np.float64]:
        """Share of the training users who had each item; shape (n_items,)."""
        return np.asarray(self.item_counts / self.n_train_users)

    @property
    def latent_dim(self) -> int:
        """Width of the latent codes, all members together."""
        return len(self.members) * self.config.latent_dim

    def require_codes(self, what: str) -> None:
        """Refuse what a model of neighbours alone cannot do.

        Parameters
        ----------
        what : str
            What is done by latent codes, such as "users are compared".

        Raises
        ------
        ConfigError
            There is no member.
        """
        if not self.members:
            raise ConfigError(
                f"{what} by latent codes, and a model of neighbours alone has none: "
                "train with model.kind=fused or vae"
            )

    def require_spread(self) -> None:
        """Refuse what needs to know how uncertain a code is.

        Raises
        ------
        ConfigError
            There is no member, or the members are autoencoders.
        """
        self.require_codes("what is uncertain is told")
        if self.config.autoencoder:
            raise ConfigError(
                "an autoencoder does not learn how uncertain its codes are: train with "
                "vae.autoencoder=no to explore"
            )

    def encode(self, histories: csr_array) -> NDArray[np.float32]:
        """Map histories to the posteriors' means, the members' side by side.

        Parameters
        ----------
        histories : csr_array of float32, shape (n_users, n_items)
            Values as in the data; an empty row is legal.

        Returns
        -------
        float32, shape (n_users, latent_dim)
        """
        n_users = histories.shape[0]
        means = np.empty((n_users, self.latent_dim), dtype=np.float32)
        for rows, block in row_blocks(histories, ENCODE_BATCH):
            for columns, member, batch in self._batches(block):
                with torch.inference_mode():
                    encoder = member.encoder
                    means[rows, columns] = encoder.mean(encoder.last_hidden(batch)).cpu().numpy()
        return means

    def posteriors(self, histories: csr_array) -> "Posteriors":
        """Map histories to the posteriors of their codes, without spread in an autoencoder."""
        n_users = histories.shape[0]
        found = Posteriors(*np.empty((2, n_users, self.latent_dim), dtype=np.float32))
        for rows, block in row_blocks(histories, ENCODE_BATCH):
            for columns, member, batch in self._batches(block):
                with torch.inference_mode():
                    mean, log_variance = member.encoder(batch)
                    deviation = (0.5 * log_variance).exp()
                found.means[rows, columns] = mean.cpu().numpy()
                found.deviations[rows, columns] = (
                    0 if self.config.autoencoder else deviation.cpu().numpy()
                )
        return found

    def user_vectors(self, histories: csr_array) -> NDArray[np.float32]:
        """Latent means with a 1 appended, so that the bias is one more dimension.

        Returns
        -------
        float32, shape (n_users, latent_dim + 1)
        """
        return with_ones(self.encode(histories))

    def drawn_user_vectors(self, histories: csr_array, seed: int) -> NDArray[np.float32]:
        """As `user_vectors`, of codes drawn from the posteriors (Thompson sampling).

        What is drawn depends on the seed and the history alone, not on who else is asked for.
        """
        found = self.posteriors(histories)
        noise = np.empty_like(found.means)
        for row in range(len(noise)):
            items = histories.indices[histories.indptr[row] : histories.indptr[row + 1]]
            rng = np.random.default_rng([seed, zlib.crc32(items.astype(np.int64).tobytes())])
            noise[row] = rng.standard_normal(self.latent_dim, dtype=np.float32)
        return with_ones(found.means + found.deviations * noise)

    def item_vectors(self) -> NDArray[np.float32]:
        """Decoder rows [w_i, b_i]: a score is their product with a user vector.

        Returns
        -------
        float32, shape (n_items, latent_dim + 1)
        """
        vectors = np.zeros((self.n_items, self.latent_dim + 1), dtype=np.float32)
        share = np.float32(1 / max(1, len(self.members)))
        width = self.config.latent_dim
        for place, member in enumerate(self.members):
            weight = member.decoder.weight.detach().cpu().numpy()
            np.multiply(weight, share, out=vectors[:, place * width : (place + 1) * width])
            vectors[:, -1] += member.decoder.bias.detach().cpu().numpy() * share
        vectors[:, -1] += self.item_means
        return vectors

    def score(self, histories: csr_array) -> NDArray[np.float32]:
        """Score the whole catalogue for each history; dense, so meant for blocks of users.

        Returns
        -------
        float32, shape (n_users, n_items)
            Logits, or predicted ratings where the likelihood is gaussian; higher is better.
        """
        return self.user_vectors(histories) @ self.item_vectors().T

    def label_probabilities(self, histories: csr_array) -> NDArray[np.float32]:
        """Tell the users' labels by their codes.

        Parameters
        ----------
        histories : csr_array of float32, shape (n_users, n_items)

        Returns
        -------
        float32, shape (n_users, n_labels)
            In the order of `labels.names`; rows sum to 1.

        Raises
        ------
        ConfigError
            The model was not trained with labels of users.
        """
        self._check_labels("users")
        return self._label_probabilities(self.encode(histories))

    def item_label_probabilities(self) -> NDArray[np.float32]:
        """Tell the items' labels by the decoder's rows.

        Returns
        -------
        float32, shape (n_items, n_labels)
            In the order of `labels.names`; rows sum to 1.

        Raises
        ------
        ConfigError
            The model was not trained with labels of items.
        """
        self._check_labels("items")
        rows = [each.decoder.weight.detach().cpu().numpy() for each in self.members]
        return self._label_probabilities(np.concatenate(rows, axis=1))

    def _check_labels(self, on: Bearer) -> None:
        if self.labels is None or self.labels.on != on:
            found = "no labels" if self.labels is None else f"labels of {self.labels.on}"
            raise ConfigError(
                f"the model was trained with {found}, expected labels of {on}; "
                f"run `recsys train --label COLUMN --label-on {on}`"
            )

    def _label_probabilities(self, codes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Softmax of the members' logits, which are averaged as their scores are."""
        heads = [each.labels for each in self.members if each.labels is not None]
        weight = np.concatenate([each.weight.detach().cpu().numpy() for each in heads], axis=1)
        bias = sum(each.bias.detach().cpu().numpy() for each in heads)
        logits = (codes @ weight.T + bias) / len(heads)
        return np.asarray(softmax(logits, axis=1), dtype=np.float32)

    def _batches(self, histories: csr_array) -> Iterator[tuple[slice, VAEModule, Batch]]:
        """Give each member's columns of a code, the member, and the histories as it reads them."""
        block = model_input(histories, self.config, self.item_means)
        batches: dict[torch.device, Batch] = {}
        width = self.config.latent_dim
        for place, member in enumerate(self.members):
            device = member.decoder.weight.device
            if device not in batches:
                batches[device] = Batch.of(block, np.arange(histories.shape[0]), device)
            yield slice(place * width, (place + 1) * width), member, batches[device]


def with_ones(codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Append a 1 to each code: the bias is one more dimension of a score's inner product."""
    return np.concatenate([codes, np.ones((len(codes), 1), dtype=np.float32)], axis=1)


def without_members(train: Interactions) -> VAE:
    """Give the VAE of a model of neighbours alone: the catalogue, and no code to score by."""
    return VAE(
        config=VAEConfig(values="binary"),
        items=train.items,
        members=(),
        item_means=np.zeros(train.n_items, dtype=np.float32),
        item_counts=train.item_counts(),
        n_train_users=train.n_users,
        liked_value=1.0,
    )


def model_input(matrix: csr_array, config: VAEConfig, item_means: NDArray[np.float32]) -> csr_array:
    """Turn the data's values into x: ones, or the values less their item's mean."""
    if config.values == "weighted":
        values = matrix.data - item_means[matrix.indices]
    else:
        values = np.ones(len(matrix.data), dtype=np.float32)
    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
