"""`python -m recsys.pipelines` is the `recsys` command."""

from .cli import main

main()
