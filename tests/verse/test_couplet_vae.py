"""The couplet VAE: its likelihoods, its measures, its training and its artefact."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from recsys import storage
from recsys.data.poems import Poem
from recsys.errors import ArtefactError, ConfigError, DataError, TrainingError
from recsys.verse import next_character
from recsys.verse.config import VerseConfig
from recsys.verse.couplet_artefact import open_writer, save_couplet_vae
from recsys.verse.couplet_model import Setting
from recsys.verse.couplet_module import SeedModule, Told, make_module
from recsys.verse.couplet_training import train_couplets
from recsys.verse.couplets import WIDTHS, Couplets, Vocabulary
from recsys.verse.measures import (
    code_use,
    importance_weighted_nll,
    mutual_information,
    negative_elbo,
    posteriors,
)
from recsys.verse.next_character import next_character_nll

CHARACTERS = "日山河海月水雲風江天花草木石泉松竹雨雪霜流樓秋愁州洲浮求頭鷗"
TINY = VerseConfig(embedding_dim=8, hidden_dim=16, latent_dim=4, told_dim=4, epochs=8, batch_size=8)


@pytest.fixture(scope="module")
def poems():
    """Forty poems of four lines: even ones of five characters a line, odd ones of seven."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(40):
        width = 5 + 2 * (number % 2)
        # A poem stays in one half of the characters, so there is something to learn.
        half = list(CHARACTERS[:15] if number % 4 < 2 else CHARACTERS[15:])
        lines = ["".join(rng.choice(half, width)) for _ in range(4)]
        made.append(
            Poem(str(number), "", "", (f"{lines[0]}，{lines[1]}", f"{lines[2]}，{lines[3]}"))
        )
    return made


@pytest.fixture(scope="module")
def vocabulary(poems, table):
    return Vocabulary.of(poems, table, at_least=1)


@pytest.fixture(scope="module")
def couplets(poems, vocabulary, table):
    return {width: Couplets.of(poems, width, vocabulary, table, None) for width in WIDTHS}


@pytest.fixture(scope="module")
def trained(couplets, vocabulary):
    return train_couplets(couplets, couplets, vocabulary, TINY)


def test_couplets_are_taken_by_width_and_rare_characters_leave_theirs_out(poems, table):
    rare = Poem("x", "", "", ("日山河海龘，日山河海月",))
    vocabulary = Vocabulary.of([*poems, rare], table, at_least=2)
    assert "龘" not in vocabulary.characters
    found = Couplets.of([*poems, rare], 5, vocabulary, table, None)
    assert (len(found), found.n_left_out) == (40, 1)
    first = poems[0].couplets[0]
    assert vocabulary.text(found.rows[0]) == "".join(first)


def test_what_is_told_of_a_couplet_is_form_tones_and_rhyme(table):
    tower = Poem("1", "", "", ("白日依山盡，黃河入海流。", "欲窮千里目，更上一層樓。"))
    vocabulary = Vocabulary.of([tower], table, at_least=1)
    told = Couplets.of([tower], 5, vocabulary, table, None).told
    # 日 and 盡 are oblique, 窮 is level and 目 oblique; 流 and 樓 rhyme in 尤.
    assert told[:, 0].tolist() == [1, 1]
    assert told[:, 1].tolist() == [4, 2]
    assert [vocabulary.rhymes[each - 1] for each in told[:, 2]] == ["尤", "尤"]


def test_poems_without_couplets_are_refused(table):
    with pytest.raises(DataError, match="no character occurs 5 times in couplets"):
        Vocabulary.of([Poem("1", "", "", ("何處",))], table)


@pytest.mark.parametrize("n_places", [1, 128, 300])
def test_the_cost_of_the_next_character_is_cross_entropy_and_so_is_its_gradient(n_places):
    torch.manual_seed(0)
    tensors = [torch.randn(shape, dtype=torch.float64) for shape in ((n_places, 4), (9, 4), (9,))]
    targets = torch.randint(0, 9, (n_places,))
    found = []
    for cost in (
        next_character_nll,
        lambda f, w, b, t: cross_entropy(f @ w.T + b, t, reduction="none"),
    ):
        leaves = [each.clone().requires_grad_() for each in tensors]
        nats = cost(*leaves, targets)
        (nats.mean() * 3).backward()
        found.append([nats.detach(), *(each.grad for each in leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def sampled_cross_entropy(features, weight, bias, targets, drawn):
    """The definition: frequent characters, `drawn` ones for all rare ones, and the target."""
    logits = features @ weight.T + bias
    held = [*range(next_character.FREQUENT), *drawn]
    stand_for = (len(weight) - next_character.FREQUENT) / len(drawn)
    costs = []
    for row, target in zip(logits, targets.tolist(), strict=True):
        shares = [1.0 if each < next_character.FREQUENT else stand_for for each in held]
        others = [s * row[i].exp() for i, s in zip(held, shares, strict=True) if i != target]
        costs.append((sum(others) + row[target].exp()).log() - row[target])
    return torch.stack(costs)


def few_candidates(monkeypatch):
    monkeypatch.setattr(next_character, "FREQUENT", 4)
    monkeypatch.setattr(next_character, "RARE_DRAWN", 2)
    torch.manual_seed(0)
    tensors = [torch.randn(shape, dtype=torch.float64) for shape in ((20, 3), (9, 3), (9,))]
    return tensors, torch.arange(20) % 9


def test_the_sampled_cost_is_by_its_definition_and_so_is_its_gradient(monkeypatch):
    tensors, targets = few_candidates(monkeypatch)
    torch.manual_seed(1)
    drawn = (4 + torch.randperm(5)[:2]).tolist()
    found = []
    for cost in (
        partial(next_character_nll, sampled=True),
        partial(sampled_cross_entropy, drawn=drawn),
    ):
        torch.manual_seed(1)
        leaves = [each.clone().requires_grad_() for each in tensors]
        nats = cost(*leaves, targets)
        nats.sum().backward()
        found.append([nats.detach(), *(each.grad for each in leaves)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_the_sampled_sum_is_right_on_average(monkeypatch):
    tensors, targets = few_candidates(monkeypatch)
    features, weight, bias = tensors
    logits = features @ weight.T + bias
    of_target = logits.gather(1, targets[:, None])[:, 0]
    sums = [
        (next_character_nll(*tensors, targets, sampled=True) + of_target).exp()
        for _ in range(4_000)
    ]
    mean, spread = torch.stack(sums).mean(dim=0), torch.stack(sums).std(dim=0)
    assert (spread > 0).all()
    exact = logits.exp().sum(dim=1)
    assert ((mean - exact).abs() < 4.5 * spread / 4_000**0.5).all()


def test_the_cost_of_the_next_character_refuses_weights_of_its_own():
    features = torch.randn(2, 4, requires_grad=True)
    nats = next_character_nll(features, torch.randn(9, 4), torch.randn(9), torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="only a sum or mean of all"):
        (nats * torch.tensor([1.0, 2.0])).sum().backward()


def test_writing_step_by_step_gives_the_likelihood_of_reading_at_once(trained, couplets):
    module, rows = trained.module, torch.from_numpy(couplets[5].rows[:3])
    told = Told(torch.from_numpy(couplets[5].told[:3]), torch.zeros(3, 0))
    latents = torch.randn(3, 4)
    with torch.inference_mode():
        following, before, total = module.writing(5, latents, told), None, torch.zeros(3)
        for place in range(10):
            nats = cross_entropy(following(before), rows[:, place], reduction="none")
            total, before = total - nats, rows[:, place]
        torch.testing.assert_close(total, module.log_likelihood(rows, latents, told))


def test_the_bounds_are_in_their_order(trained, couplets):
    """More samples bring the importance-weighted bound nearer to log p, from below."""
    elbo = negative_elbo(trained.module, couplets[5]).mean()
    one, many = (importance_weighted_nll(trained.module, couplets[5], k).mean() for k in (1, 200))
    assert many < one
    assert one == pytest.approx(elbo, abs=1.0)


def test_the_importance_weighted_bound_is_exact_where_the_code_tells_nothing(couplets, vocabulary):
    """With p(x | z) the same for all z and q = p(z) every weight is log p(x)."""
    module = make_module(len(vocabulary), len(vocabulary.rhymes), 0, TINY).eval()
    with torch.no_grad():
        module.mean.weight.zero_()
        module.log_variance.weight.zero_()
        module.log_variance.bias.zero_()
        for layer in (module.first_state, module.features):
            layer.weight.zero_()
        module.write.weight_ih_l0.zero_()
        module.features.bias.zero_()
    (few, many) = (importance_weighted_nll(module, couplets[5], k) for k in (1, 7))
    np.testing.assert_allclose(few, many, rtol=1e-5)
    np.testing.assert_allclose(few, 10 * math.log(len(vocabulary)), rtol=1e-5)


def test_mutual_information_counts_well_separated_codes():
    """Codes far apart and narrow tell which of n couplets they are of: log n nats."""
    mean, log_variance = 100 * torch.eye(16), torch.full((16, 16), -8.0)
    assert mutual_information(mean, log_variance) == pytest.approx(math.log(16), rel=1e-4)
    assert mutual_information(0 * mean, log_variance) == pytest.approx(0, abs=1e-5)


def test_the_spread_of_the_means_holds_the_information_up(trained, couplets):
    mean, _ = posteriors(trained.module, couplets[5])
    assert code_use(trained.module, couplets[5]).active_units == 4
    assert mean.std(dim=0).mean() == pytest.approx(TINY.mean_scale, rel=0.5)


def test_the_code_stays_alive_however_small_the_means_of_the_network(couplets, vocabulary):
    """A usual epsilon of the normalisation would drown them."""
    module = make_module(len(vocabulary), len(vocabulary.rhymes), 0, TINY).train()
    with torch.no_grad():
        module.mean.weight.mul_(1e-3)
        mean, _ = module.encode(torch.from_numpy(couplets[5].rows))
    torch.testing.assert_close(
        mean.var(dim=0, correction=0), torch.full((4,), TINY.mean_scale**2), rtol=0.01, atol=0
    )


def test_training_learns_and_reports_every_epoch(couplets, vocabulary):
    reports = []
    config = replace(TINY, learning_rate=0.02)
    train_couplets(couplets, couplets, vocabulary, config, on_epoch=reports.append)
    assert [each.epoch for each in reports] == list(range(1, 9))
    assert reports[-1].loss < reports[0].loss - 1
    assert set(reports[0].elbo) == {"5", "7"}
    assert [len(each) for each in reports[0].sample.split("，")] == [5, 5]


def test_an_interrupted_training_ends_with_the_same_weights(couplets, vocabulary, tmp_path):
    config = replace(TINY, epochs=3)
    whole = train_couplets(couplets, couplets, vocabulary, config)

    def kill(report):
        if report.epoch == 2:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_couplets(couplets, couplets, vocabulary, config, on_epoch=kill, checkpoint=checkpoint)
    resumed = train_couplets(couplets, couplets, vocabulary, config, checkpoint=checkpoint)
    for ours, theirs in zip(
        whole.module.state_dict().values(), resumed.module.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_a_collapsed_code_stops_the_training(couplets, vocabulary):
    """Of couplets that are all the same a code has nothing to tell."""
    same = {5: couplets[5].select(np.zeros(2000, dtype=np.int64))}
    with pytest.raises(TrainingError, match=r"after epoch 2 it tells .* raise verse.mean_scale"):
        train_couplets(same, same, vocabulary, replace(TINY, epochs=3))


def test_the_seed_model_foretells_every_place_from_the_code_alone(couplets, vocabulary):
    module = SeedModule(len(vocabulary), 0).eval()
    rows, latents = torch.from_numpy(couplets[5].rows[:3]), torch.randn(3, 64)
    told = Told(torch.zeros(3, 3, dtype=torch.int64), torch.zeros(3, 0))
    following = module.writing(5, latents, told)
    nats = [cross_entropy(following(None), rows[:, place], reduction="none") for place in range(10)]
    expected = module.log_likelihood(rows, latents, told)
    torch.testing.assert_close(-torch.stack(nats).sum(0), expected)
    with pytest.raises(ConfigError, match="writes lines of five characters, not 7"):
        module.writing(7, latents, told)


def test_a_model_comes_back_as_it_was_saved(trained, tmp_path):
    with storage.writing(tmp_path / "model", "model", 1):
        pass
    model = storage.open_artefact(tmp_path / "model", "model", 1, made_by="recsys train")
    save_couplet_vae(
        trained,
        tmp_path / "verse",
        fingerprints={"model": model.manifest.fingerprint},
        metrics={},
    )
    loaded = open_writer(tmp_path / "verse", model)
    assert loaded.vocabulary == trained.vocabulary
    pair = ("日山河海月", "水雲風江天")
    np.testing.assert_allclose(loaded.codes([pair]), trained.codes([pair]), atol=1e-6)
    rng = (np.random.default_rng(1) for _ in range(2))
    assert loaded.sample(7, 2, 0.8, next(rng)) == trained.sample(7, 2, 0.8, next(rng))
    with storage.writing(tmp_path / "model", "model", 1, config={"other": 1}):
        pass
    other = storage.open_artefact(tmp_path / "model", "model", 1, made_by="recsys train")
    with pytest.raises(ArtefactError, match="trained beside another model"):
        open_writer(tmp_path / "verse", other)


def test_a_setting_tells_the_model_of_form_tones_and_rhyme(trained):
    patterns = [("中平平仄仄", "中仄仄平平"), ("？？？？？", "？？？？？")]
    rhyme = trained.vocabulary.rhymes[0]
    told = trained._told(Setting(patterns, [rhyme, None], None, "lvshi"))
    assert told.classes.tolist() == [[2, 2, 1], [2, 0, 0]]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model", "lstm"),
        ("latent_dim", 0),
        ("mean_scale", 1.0),
        ("dropout", 1.0),
        ("batch_size", 1),
    ],
)
def test_settings_out_of_range_are_refused(key, value):
    with pytest.raises(ConfigError, match=f"verse.{key} is"):
        VerseConfig(**{key: value})
