"""What the composite prior remembers of each user: the posterior when training saw them last."""

import torch
from torch import Tensor

LARGEST = torch.finfo(torch.float16).max
"""Beyond it half precision has infinity alone, which would make the next gradient NaN."""


class PastPosteriors:
    """Gaussian posteriors by user, in half precision: 4 bytes a user and latent dimension.

    RecVAE (Shenbin et al. 2020, section 3.2) encodes each whole history by the encoder of the
    epoch before. This remembers what training found anyway: of the items that were not dropped,
    and an epoch old on average, each user being seen once an epoch. It is level with theirs and
    saves a pass through an encoder (docs/experiments.md). N(0, I) stands for whom nothing is
    remembered of yet.

    Parameters
    ----------
    n_users, latent_dim : int
    device : torch.device
    """

    def __init__(self, n_users: int, latent_dim: int, device: torch.device) -> None:
        shape = (n_users, latent_dim)
        self.means = torch.zeros(shape, dtype=torch.float16, device=device)
        self.log_variances = torch.zeros_like(self.means)

    def of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Give means and log-variances of some users; float32, shape (n, latent_dim) each."""
        return self.means[users].float(), self.log_variances[users].float()

    def remember(self, users: Tensor, means: Tensor, log_variances: Tensor) -> None:
        """Put new posteriors in the place of the old ones."""
        self.means[users] = means.clamp(-LARGEST, LARGEST).half()
        self.log_variances[users] = log_variances.clamp(-LARGEST, LARGEST).half()

    def state(self) -> dict[str, Tensor]:
        """Both tables by name."""
        return {"means": self.means, "log_variances": self.log_variances}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Become what `state` was taken of."""
        self.means, self.log_variances = state["means"], state["log_variances"]
