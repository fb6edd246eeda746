import torch

from detkit.ops.selection import fixed_shapes, is_eager_cpu


def test_shapes_may_depend_on_values_on_a_cpu_only():
    assert is_eager_cpu(torch.zeros(1))
    assert not is_eager_cpu(torch.zeros(1, device="meta"))


def test_fixed_shapes_can_be_forced_for_a_while():
    with fixed_shapes():
        assert not is_eager_cpu(torch.zeros(1))
    assert is_eager_cpu(torch.zeros(1))


def test_a_captured_graph_has_fixed_shapes():
    class Switch(torch.nn.Module):
        def forward(self, values):
            return values + 1 if is_eager_cpu(values) else values - 1

    program = torch.export.export(Switch(), (torch.zeros(2),))
    assert program.module()(torch.zeros(2)).tolist() == [-1, -1]
