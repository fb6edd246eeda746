import numpy as np
import pytest
from export_graphs import Engine, Exporter, detections, graph

from detkit.export.ap_check import ap_text
from detkit.export.certification import WrittenModel, certify
from detkit.export.evidence import Evidence
from detkit.export.graph import dynamic_axes
from detkit.structures import LayerComparison

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 3, 16, 24)).astype(np.float32)


def certified(engine, folder, exporter=Exporter, **changes):
    exporter = exporter(engine)
    path = folder / "model.txt"
    written = exporter.write(engine.graph, path)
    evidence = Evidence(
        images=list(IMAGES),
        step=4,
        batches=None,
        reason="there are no data",
        metrics=None,
        predict=list,
        **changes,
    )
    return certify(engine.graph, exporter, WrittenModel(path, "mine", written), evidence)


def test_an_equal_model_passes_and_what_was_not_checked_is_named(tmp_path):
    certificate = certified(Engine(graph()), tmp_path)
    assert certificate.passed
    assert [check.passed for check in certificate.checks] == [True, True, None, None]
    text = certificate.text()
    assert "passed, not everything was checked" in text
    assert "the input is any x 3 x any x any" in text
    assert "16 x 24, 20 x 24, 16 x 28, 28 x 32 in batches of 1, 2, 3 on synthetic images" in text
    assert "not done  AP: there are no data" in text
    assert "not done  layers: this format does not show the outputs of its layers" in text
    assert certificate.megabytes == 0.001


# pain 90
@pytest.mark.parametrize(("axis", "name"), [(0, "batch"), (2, "height"), (3, "width")])
def test_an_axis_that_was_silently_fixed_fails(axis, name, tmp_path):
    engine = Engine(graph())
    length = engine.graph.example.shape[axis]
    engine.input_shape = tuple(
        length if n == axis else old for n, old in enumerate(engine.input_shape)
    )
    certificate = certified(engine, tmp_path)
    assert not certificate.passed
    assert f"{name} is fixed to {length}" in certificate.text()


class FixedBatch(Engine):
    def __call__(self, images):
        if len(images) != 2:
            raise ValueError(f"got {len(images)} images, expected 2")
        return super().__call__(images)


# pain 90
def test_an_axis_that_is_fixed_inside_the_graph_fails_when_it_runs(tmp_path):
    certificate = certified(FixedBatch(graph()), tmp_path)
    assert not certificate.passed
    assert "shape (1, 3, 16, 24): ValueError: got 1 images, expected 2" in certificate.text()
    assert certificate.first_difference == ("this format does not show the outputs of its layers")


class Shifted(Engine):
    def __call__(self, images):
        boxes, scores = super().__call__(images)
        return [boxes + 1, scores]


# pain 90
def test_outputs_that_differ_fail(tmp_path):
    certificate = certified(Shifted(graph()), tmp_path)
    assert not certificate.passed
    assert certificate.speed is None
    assert certificate.different == certificate.rows > 0


class WithLayers(Exporter):
    """An exporter whose detections are PyTorch's, but whose layers differ."""

    def compare_layers(self, graph, path, images, tolerance):
        return LayerComparison(("stem", "box"), "box: its output is off by up to 2")


# pain 90
def test_a_damaged_layer_that_no_detection_uses_fails_and_is_named(tmp_path):
    certificate = certified(Engine(graph()), tmp_path, exporter=WithLayers)
    assert [check.passed for check in certificate.checks] == [True, True, None, False]
    assert certificate.different == 0
    assert not certificate.passed
    assert "first layer that differs: box: its output is off by up to 2" in certificate.text()


class Rounded(Engine):
    def __call__(self, images):
        return super().__call__(images * np.float32(1 + 1e-6))


@pytest.mark.parametrize(("frequency", "passed"), [(1.0, True), (1e6, False)])
def test_rounding_fails_only_where_it_decides_and_is_named_then(frequency, passed, tmp_path):
    certificate = certified(Rounded(detections(frequency)), tmp_path)
    assert certificate.passed is passed
    assert ("rounding decides" in certificate.text()) is not passed


def test_fixed_axes_are_tried_at_their_length_only(tmp_path):
    engine = Engine(graph(size=(16, 24), batch=2))
    assert dynamic_axes(engine.graph) == {}
    assert "outputs: 16 x 24 in batches of 2 " in certified(engine, tmp_path).text()


def test_numbers_read_as_in_the_fields_papers():
    assert [ap_text(value) for value in (0.6134, 1.0, 0.0)] == [".613", "1.000", ".000"]


def test_the_certificate_is_written_as_json_and_text(tmp_path):
    certificate = certified(Engine(graph()), tmp_path)
    files = certificate.write(tmp_path, "model")
    assert [file.name for file in files] == ["model.certificate.json", "model.certificate.txt"]
    assert '"passed": true' in files[0].read_text()
    assert files[1].read_text() == certificate.text() + "\n"
