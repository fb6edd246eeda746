"""Contract of every registered exporter."""

import pytest
from contract_cases import each_promise
from export_graphs import graph

from detkit import registry
from detkit.contracts import BrokenContractError, cases
from detkit.export.triton import configuration


@each_promise("exporter", quick=["torch_export"])
def test_an_exporter_keeps_its_contract(case):
    case()


def broken(name, **members):
    base = registry.get("exporter", "torch_export")
    part = type("Part", (base,), {"__doc__": "An exporter.", "__module__": __name__, **members})
    registry.register("exporter", name)(part)
    return {str(case): case for case in cases("exporter", name)}


@pytest.mark.parametrize(
    ("members", "promise", "message"),
    [
        ({"suffix": "pt2"}, "attributes are valid", "`suffix` is 'pt2'"),
        ({"precisions": ("int4",)}, "attributes are valid", "`precisions` is "),
        (
            {"write": lambda self, graph, path: None},
            "written models give the same outputs",
            "`write` made no model.pt2",
        ),
    ],
    ids=["suffix", "precisions", "nothing written"],
)
def test_a_broken_promise_is_found(members, promise, message):
    with pytest.raises(BrokenContractError, match=message):
        broken("mine", **members)[promise]()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "openvino", "torch_export", "triton"])
@pytest.mark.parametrize("changes", [{"size": (16, 24)}, {"batch": 1}], ids=["size", "batch"])
def test_fixed_axes_are_fixed_in_the_file(name, changes, tmp_path):
    exporter = registry.get("exporter", name)()
    path = tmp_path / f"model{exporter.suffix}"
    exporter.write(graph(**changes), path)
    shape = exporter.open(path, 1).input_shape
    assert shape == ((None, 3, 16, 24) if "size" in changes else (1, 3, None, None))


def test_triton_reads_shapes_and_types():
    text = configuration(graph(batch=1), "mine")
    assert text.startswith('name: "mine"\nbackend: "onnxruntime"\nmax_batch_size: 0\n')
    assert 'name: "images"\n    data_type: TYPE_FP32\n    dims: [1, 3, -1, -1]' in text
    assert 'name: "scores"\n    data_type: TYPE_FP32\n    dims: [1, -1, 2]' in text
    with_nms = configuration(graph(nms=True, size=(16, 24)), "mine")
    assert "dims: [-1, 3, 16, 24]" in with_nms
    assert 'name: "labels"\n    data_type: TYPE_INT64\n    dims: [-1, -1]' in with_nms
    assert 'name: "counts"\n    data_type: TYPE_INT64\n    dims: [-1]' in with_nms
    with_masks = configuration(graph(nms=True, mask_size=28), "mine")
    assert 'name: "masks"\n    data_type: TYPE_FP32\n    dims: [-1, -1, 28, 28]' in with_masks
