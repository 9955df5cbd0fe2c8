import dataclasses

import pytest
import torch

from recsys.errors import ArtefactError
from recsys.vae.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

CPU = torch.device("cpu")
OTHER_TRAINING = "of a training on other data, with other settings or by another version"
CHECKPOINT = Checkpoint(
    identity="run",
    epoch=7,
    best_epoch=5,
    best_validation=0.25,
    weights={"encoder/w": torch.arange(4.0), "b": torch.ones(2, 2)},
    best_weights={"encoder/w": torch.zeros(4), "b": torch.zeros(2, 2)},
    moments={
        place: {"step": torch.tensor(3.0), "exp_avg": torch.full((4,), float(len(place)))}
        for place in ("0", "11", "0.weight")
    },
    past={"1": {"means": torch.ones(3, 2).half(), "log_variances": torch.zeros(3, 2).half()}},
)


@pytest.fixture
def path(tmp_path):
    save_checkpoint(tmp_path / "checkpoint", CHECKPOINT)
    return tmp_path / "checkpoint"


def test_a_checkpoint_is_read_as_it_was_written(path):
    found = load_checkpoint(path, "run", CPU)
    assert (found.epoch, found.best_epoch, found.best_validation) == (7, 5, 0.25)
    for ours, theirs in (
        (found.weights, CHECKPOINT.weights),
        (found.best_weights, CHECKPOINT.best_weights),
        *((found.moments[place], CHECKPOINT.moments[place]) for place in CHECKPOINT.moments),
        (found.past["1"], CHECKPOINT.past["1"]),
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [each.name for each in path.parent.iterdir()] == ["checkpoint"]


def test_where_the_present_weights_are_the_best_they_are_written_once(path):
    save_checkpoint(path, dataclasses.replace(CHECKPOINT, best_weights=None))
    assert load_checkpoint(path, "run", CPU).best_weights is None


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_checkpoint_is_refused(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ArtefactError) as caught:
        load_checkpoint(path, "run", CPU)
    assert str(caught.value) == f"the checkpoint {path} is damaged; train without --resume"


def test_another_safetensors_file_is_no_checkpoint(path):
    from safetensors.torch import save_file

    for metadata in (None, {"state": "not json"}, {"state": "{}"}, {"state": "[]"}):
        save_file({"weights/x": torch.ones(1)}, path, metadata=metadata)
        with pytest.raises(ArtefactError, match="is damaged; train without --resume"):
            load_checkpoint(path, "run", CPU)


def test_a_pickle_in_its_place_is_refused_and_does_not_run(path, tmp_path):
    path.write_bytes(b"cos\nmkdir\n(S'" + str(tmp_path / "ran").encode() + b"'\ntR.")
    with pytest.raises(ArtefactError, match="is damaged"):
        load_checkpoint(path, "run", CPU)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_that_cannot_be_written_is_an_error_with_its_path(tmp_path):
    path = tmp_path / "nowhere" / "checkpoint"
    with pytest.raises(ArtefactError) as caught:
        save_checkpoint(path, CHECKPOINT)
    assert str(caught.value) == f"could not write {path}: No such file or directory"


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, CHECKPOINT)
    with pytest.raises(ArtefactError, match=OTHER_TRAINING):
        load_checkpoint(path, "another run", CPU)
