import pytest
import torch

from recsys.vae import row_adam
from recsys.vae.row_adam import RowAdam


@pytest.mark.parametrize("rows_at_once", [1, 3, 4096])
def test_every_step_is_that_of_torchs_sparse_adam(rows_at_once, monkeypatch):
    monkeypatch.setattr(row_adam, "ROWS_AT_ONCE", rows_at_once)
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(9, 4, generator=generator)
    theirs = table.clone().requires_grad_()
    reference = torch.optim.SparseAdam([theirs], lr=0.1)
    ours = RowAdam(table)
    for step in range(20):
        rows = torch.randperm(9, generator=generator)[: step % 5 + 1].sort().values
        gradient = torch.randn(len(rows), 4, generator=generator)
        theirs.grad = torch.sparse_coo_tensor(
            rows[None], gradient, theirs.shape, check_invariants=True
        )
        reference.step()
        ours.step(rows, gradient, 0.1)
        torch.testing.assert_close(table, theirs.detach(), rtol=1e-5, atol=1e-6)


def test_rows_without_a_gradient_stay_to_the_bit():
    table = torch.randn(5, 3)
    before = table.clone()
    optimiser = RowAdam(table)
    for _ in range(3):
        optimiser.step(torch.tensor([1, 4]), torch.randn(2, 3), 0.1)
    assert torch.equal(table[[0, 2, 3]], before[[0, 2, 3]])
    assert not torch.equal(table[[1, 4]], before[[1, 4]])


def test_a_vector_is_a_table_too():
    vector = torch.zeros(4)
    RowAdam(vector).step(torch.tensor([2]), torch.tensor([5.0]), 0.1)
    assert vector.tolist() == pytest.approx([0, 0, -0.1, 0])


def test_going_on_from_the_state_gives_the_same_bits():
    def steps(optimiser, first, last):
        for step in range(first, last):
            gradient = torch.randn(2, 3, generator=torch.Generator().manual_seed(step))
            optimiser.step(torch.tensor([step % 4, 4]), gradient, 0.01)

    whole = RowAdam(torch.ones(5, 3))
    steps(whole, 0, 9)
    begun = RowAdam(torch.ones(5, 3))
    steps(begun, 0, 4)
    resumed = RowAdam(begun.table.clone())
    resumed.load_state(begun.state())
    steps(resumed, 4, 9)
    assert torch.equal(whole.table, resumed.table)
