"""How threads that share a product wait for each other: briefly awake, then asleep."""

from collections.abc import MutableMapping

SHORT_WAITS = (
    {
        "OMP_WAIT_POLICY": "PASSIVE",
        # Rounds awake, some 30 us. A step has hundreds of small passes: to sleep at once makes
        # training on two threads half as fast, and 5,000 rounds are felt by other processes.
        "GOMP_SPINCOUNT": "1000",
    },
    # 2^16 cycles awake, some 20 us, instead of 2^26: numpy's threads were in the way of torch's,
    # which have their products in turn, for half of the time that scoring everybody took.
    {"OPENBLAS_THREAD_TIMEOUT": "16"},
)
"""Read by OpenMP when torch is loaded, and by OpenBLAS with numpy: see docs/experiments.md."""


def wait_briefly(environment: MutableMapping[str, str]) -> None:
    """Put SHORT_WAITS into the environment, but for what the user has a part of there.

    Examples
    --------
    >>> environment = {"HOME": "/root"}
    >>> wait_briefly(environment)
    >>> environment["GOMP_SPINCOUNT"], environment["OPENBLAS_THREAD_TIMEOUT"]
    ('1000', '16')
    >>> own = {"OMP_WAIT_POLICY": "ACTIVE"}
    >>> wait_briefly(own)
    >>> own
    {'OMP_WAIT_POLICY': 'ACTIVE', 'OPENBLAS_THREAD_TIMEOUT': '16'}
    """
    for settings in SHORT_WAITS:
        if not settings.keys() & environment.keys():
            environment.update(settings)
