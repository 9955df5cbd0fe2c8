"""How threads that share a product wait for each other: briefly awake, then asleep."""

from collections.abc import MutableMapping

SHORT_WAIT = {
    "OMP_WAIT_POLICY": "PASSIVE",
    # Rounds awake, some 30 us. A step has hundreds of small passes: to sleep at once makes training
    # on two threads half as fast, and 5,000 rounds are felt by other processes.
    "GOMP_SPINCOUNT": "1000",
}
"""Read by OpenMP when torch is loaded: see docs/experiments.md."""


def wait_briefly(environment: MutableMapping[str, str]) -> None:
    """Put SHORT_WAIT into the environment, unless the user has a part of it there.

    Examples
    --------
    >>> environment = {"HOME": "/root"}
    >>> wait_briefly(environment)
    >>> environment["GOMP_SPINCOUNT"]
    '1000'
    >>> own = {"OMP_WAIT_POLICY": "ACTIVE"}
    >>> wait_briefly(own)
    >>> own
    {'OMP_WAIT_POLICY': 'ACTIVE'}
    """
    if not SHORT_WAIT.keys() & environment.keys():
        environment.update(SHORT_WAIT)
