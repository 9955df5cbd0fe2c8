"""recsys evaluate: the model beside popularity and EASE, on the users that its split set aside."""

import functools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pyarrow as pa
from rich.console import RenderableType

from recsys.data.holdout import counted
from recsys.errors import ConfigError, WorkspaceBusyError
from recsys.storage import write_atomically

from .options import (
    Session,
    epilog,
    output_option,
    stage,
    threads_option,
    use_machine,
)
from .output import Record, Shape, clause, emit, note, progress_bar, titled_table
from .rules import RuleFlags, rule_options

if TYPE_CHECKING:
    from recsys.baselines import EASE, Popularity
    from recsys.data.interactions import Interactions
    from recsys.data.splits import Holdout, Split
    from recsys.evaluation.report import Evaluation
    from recsys.evaluation.report import Table as PlainTable
    from recsys.fusion import SparsePath
    from recsys.metrics import Metric
    from recsys.ranking import Ranker, Scorer
    from recsys.vae.config import VAEConfig
    from recsys.vae.model import VAE

EASE_LIMIT = 15_000
"""Items up to which EASE's square matrix is fitted without being asked for."""

EASE_FORMAT_VERSION = 2

BELOW_THRESHOLD = 1

LOOSE_BOUND = (
    "the VAE's perplexity is a bound, and a loose one for this model: it is near where training "
    "minimises it (-S vae.values=weighted -S vae.prior=standard -S vae.kl_scale=constant -S "
    "vae.kl_weight=1)"
)


@click.command(
    short_help="Measure the model beside popularity and EASE.",
    epilog=epilog("recsys evaluate --on validation --fail-under ndcg@100=0.40"),
)
@click.option(
    "--on",
    type=click.Choice(["validation", "test"]),
    help="Whom to measure on  [test where the split has such users, else validation]",
)
@click.option("--split", metavar="KIND|FILE", help="Refuse unless the model was trained with it.")
@click.option("--metrics", metavar="A@K,..", help="Comma-separated, such as recall@20,ndcg@100.")
@click.option(
    "--with-ease/--without-ease",
    default=None,
    help=f"Fit EASE beside  [up to {EASE_LIMIT:,} items]",
)
@click.option(
    "--fail-under",
    metavar="METRIC=X",
    help="Exit with 1 when the model's mean (under the rules, where any are given) is below X.",
)
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE", help="Write the JSON report too."
)
@rule_options
@threads_option
@output_option
@stage
def evaluate(
    session: Session,
    on: str | None,
    split: str | None,
    metrics: str | None,
    with_ease: bool | None,
    fail_under: str | None,
    report: Path | None,
    rules: RuleFlags,
    threads: int | None,
    output: Path | None,
) -> int:
    """Measure the model beside popularity and EASE on the same users.

    Means with 95 % intervals over users, and paired differences with theirs. recall@k divides by
    min(k, held out), full_recall@k by held out; ndcg@k has binary gains. For poems that the model
    was not trained on: perplexity of the whole poem (by the ELBO) and of one half given the other,
    beside those of the characters' shares in training.
    """
    from recsys.baselines import ItemMeans, Popularity
    from recsys.evaluation.protocols import evaluate as measure
    from recsys.evaluation.report import Threshold, check_threshold
    from recsys.fusion import load_sparse_path
    from recsys.metrics import Metric
    from recsys.vae.artefact import load_model, load_model_split, open_model

    ease_wanted = {None: None, True: "yes", False: "no"}[with_ease]
    settings = session.settings(
        evaluate__metrics=metrics, evaluate__ease=ease_wanted, machine__threads=threads
    ).settings
    wanted = [Metric.parse(each) for each in settings.evaluate.metrics]
    threshold = None if fail_under is None else Threshold.parse(fail_under)
    if threshold is not None and threshold.metric not in wanted:
        wanted.append(threshold.metric)
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
    device = use_machine(settings.machine)
    model = open_model(session.workspace.model)
    _check_split(model.manifest.config["split"], split)
    parts = load_model_split(model)
    on, holdout = _holdout(parts, on)
    vae = load_model(model, device)
    sparse = load_sparse_path(model, vae.n_items)
    popularity = Popularity.fit(parts.train)
    models = _models(vae, sparse, popularity)
    gated, *_ = models
    if rules.given:
        models = _under_rules(models, rules, session, vae, parts.train)
        _, gated, *_ = models
        wanted += _coverages(wanted)
    rankers = models | _baselines(session, parts, popularity, settings.evaluate.ease)
    rating_scorers: dict[str, Scorer] = {}
    if vae.config.predicts_ratings:
        rating_scorers = {"vae": vae.score, "item_means": ItemMeans.fit(parts.train).score}
    with progress_bar() as bar:
        task = bar.add_task("evaluating", total=None)
        result = measure(
            rankers,
            holdout,
            parts.train,
            wanted,
            on=on,
            rating_scorers=rating_scorers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    notes = []
    n_without = int((np.diff(holdout.fold_in.matrix.indptr) == 0).sum())
    if n_without:
        notes.append(
            f"{clause(n_without, 'user', 'has', 'have')} no history: every model ranks by "
            "popularity for them"
        )
    is_multinomial = bool(vae.members) and vae.config.likelihood == "multinomial"
    if is_multinomial and _are_new_poems(session, holdout, parts.train):
        result = _with_perplexities(result, vae, holdout, parts.train)
        if not _bounds_tightly(vae.config):
            notes.append(LOOSE_BOUND)
    record: Record = dict(result.to_json())
    if on == "validation":
        notes.append(_flattery(tuned=sparse is not None))
    if "ease" not in rankers and settings.evaluate.ease == "auto":
        n_items = parts.train.n_items
        notes.append(
            f"EASE was left out: {n_items:,} items are more than {EASE_LIMIT:,} (--with-ease)"
        )
    if notes:
        record["notes"] = notes
    if report is not None:
        write_atomically(report, (json.dumps(record, indent=2) + "\n").encode())
    emit([record], _shape(result), session.format, output)
    if threshold is None:
        return 0
    check = check_threshold(result, gated, threshold)
    note(str(check))
    return 0 if check.holds else BELOW_THRESHOLD


def _check_split(trained_with: dict[str, Any], asked: str | None) -> None:
    kind = trained_with["kind"]
    if asked is not None and asked != kind and Path(asked).resolve() != Path(kind).resolve():
        raise ConfigError(
            f"the model was trained with --split {kind}, not {asked}: measuring on users it was "
            f"trained on would mislead; run `recsys train --split {asked}` first"
        )


def _holdout(parts: "Split", on: str | None) -> "tuple[str, Holdout]":
    if on is None:
        on = "validation" if parts.test is None else "test"
    holdout = parts.test if on == "test" else parts.validation
    if holdout is not None:
        return on, holdout
    other = "validation" if on == "test" else "test"
    if parts.validation is None and parts.test is None:
        raise ConfigError(
            "the model was trained on everything (--split none): there is nobody to measure on; "
            "train again with another --split"
        )
    raise ConfigError(
        f"the model's split has no {on} users; train again with `recsys train --{on}-size N`, or "
        f"measure --on {other}"
    )


def _flattery(tuned: bool) -> str:
    chosen = "the epoch and tau were" if tuned else "the epoch was"
    return f"{chosen} chosen on these users, so the figures flatter the model; test users report"


def _models(
    vae: "VAE", sparse: "SparsePath | None", popularity: "Popularity"
) -> "dict[str, Ranker]":
    """The model first, then each of its paths alone, so that one sees what each buys."""
    from recsys.baselines import rank_unseen
    from recsys.index.item_index import ItemIndex
    from recsys.model_ranker import ModelRanker

    items = ItemIndex.of(vae.item_vectors())
    models: dict[str, Ranker] = {}
    if sparse is not None and vae.members:
        models["fused"] = ModelRanker(vae, items, sparse)
    if vae.members:
        models["vae"] = ModelRanker(vae, items)
    if sparse is not None:
        models["neighbours"] = functools.partial(
            rank_unseen, popularity.standing_in(sparse.item_item.score)
        )
    return models


def _under_rules(
    models: "dict[str, Ranker]",
    flags: RuleFlags,
    session: Session,
    vae: "VAE",
    train: "Interactions",
) -> "dict[str, Ranker]":
    """The model first, then the same under the rules, so that one sees what they cost."""
    from recsys.data.artefact import open_interactions
    from recsys.indexing import directions_of
    from recsys.model_ranker import ModelRanker
    from recsys.rules import AppliedRules, Catalogue

    (name, model), *paths = models.items()
    if not isinstance(model, ModelRanker):
        raise ConfigError(
            "rules are measured on models with a VAE: train with model.kind=fused or vae"
        )
    table = open_interactions(session.workspace.interactions).item_table
    directions = functools.cache(lambda: directions_of(vae, train))
    catalogue = Catalogue(vae.items, table, vae.popularity, directions)
    applied = AppliedRules(flags.read(vae.items), catalogue)
    return {
        name: model,
        f"{name} under rules": functools.partial(model, rules=applied),
        **dict(paths),
    }


def _coverages(metrics: "list[Metric]") -> "list[Metric]":
    """What rules buy: the coverage of the shortest lists that are measured."""
    from recsys.metrics import Metric

    coverage = Metric.parse(f"coverage@{min(each.k for each in metrics)}")
    return [] if coverage in metrics else [coverage]


def _baselines(
    session: Session, parts: "Split", popularity: "Popularity", ease: str
) -> "dict[str, Ranker]":
    from recsys.baselines import rank_unseen

    rankers: dict[str, Ranker] = {"popularity": popularity.rank}
    n_items = parts.train.n_items
    if ease == "yes" or (ease == "auto" and n_items <= EASE_LIMIT):
        score = popularity.standing_in(_ease(session, parts).score)
        rankers["ease"] = functools.partial(rank_unseen, score)
    return rankers


def _ease(session: Session, parts: "Split") -> "EASE":
    """Fit EASE once for each split; its ridge is chosen on the validation users."""
    from recsys.baselines import fit_best_ease, load_ease, save_ease
    from recsys.errors import ArtefactError
    from recsys.storage import existing_folder, open_artefact, writing

    path = session.workspace.ease
    if existing_folder(path) is not None:
        try:
            cached = open_artefact(path, "ease", EASE_FORMAT_VERSION, made_by="recsys evaluate")
            if cached.manifest.fingerprints["split"] == parts.fingerprint:
                return load_ease(cached.path)
        except ArtefactError as error:
            note(f"warning: {error}; EASE is fitted again")
    note("fitting EASE (once; kept for the next evaluation)")
    ease = fit_best_ease(parts.train, parts.validation)
    try:
        with (
            session.workspace.locked(),
            writing(
                path, "ease", EASE_FORMAT_VERSION, fingerprints={"split": parts.fingerprint}
            ) as folder,
        ):
            save_ease(ease, folder)
    except WorkspaceBusyError as error:
        note(f"EASE is not kept for the next time: {error}")
    return ease


def _are_new_poems(session: Session, holdout: "Holdout", train: "Interactions") -> bool:
    """Whether everybody who is measured is a poem, and none of them was trained on."""
    from recsys.data.artefact import open_interactions
    from recsys.storage import existing_folder

    if existing_folder(session.workspace.interactions) is None:
        return False
    poems = set(open_interactions(session.workspace.interactions).user_table["user_id"])
    measured = holdout.held_out.users
    return poems.issuperset(measured.ids) and bool((train.users.find(measured.ids) < 0).all())


def _with_perplexities(
    result: "Evaluation", vae: "VAE", holdout: "Holdout", train: "Interactions"
) -> "Evaluation":
    from recsys.evaluation.language import measure_unigram, measure_vae

    poems = holdout.whole()
    measured = {"vae": measure_vae(vae, poems), "unigram": measure_unigram(train, poems)}
    overall = {
        name: {
            **result.overall.get(name, {}),
            "perplexity": found.whole,
            "completion": found.completion,
        }
        for name, found in measured.items()
    }
    return replace(
        result,
        by_user={**result.by_user, "unigram": {}},
        overall={**result.overall, **overall},
    )


def _bounds_tightly(config: "VAEConfig") -> bool:
    weight = (config.prior, config.kl_scale, config.kl_weight)
    trained_so = weight == ("standard", "constant", 1.0) and not config.autoencoder
    return trained_so and config.values == "weighted"


def _shape(result: "Evaluation") -> Shape:
    return Shape(
        columns=[
            ("model", pa.string()),
            ("metric", pa.string()),
            *((name, pa.float64()) for name in ("mean", "low", "high")),
        ],
        rows=lambda record: (
            (model, metric, value["mean"], value["low"], value["high"])
            for model, measured in record["models"].items()
            for metric, value in measured.items()
        ),
        tables=lambda records: (each for one in records for each in _tables(result, one)),
        single=True,
    )


def _tables(result: "Evaluation", record: Record) -> Iterator[RenderableType]:
    users = counted(record["n_users"], f"{record['on']} user")
    yield _rich(f"Mean over {users}, with 95 % intervals", result.table())
    if len(result.models()) > 1:
        yield ""
        yield _rich("Paired differences, with 95 % intervals", result.difference_table())
    yield from record.get("notes", [])


def _rich(title: str, plain: "PlainTable") -> RenderableType:
    table = titled_table(title, *plain.header, right=plain.header[1:], whole=plain.header[:1])
    for row in plain.rows:
        table.add_row(*row)
    return table
