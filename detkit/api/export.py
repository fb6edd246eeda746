"""Export a checkpoint: check it, write the graph, and certify what was written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from detkit import assembly
from detkit.api.calibration import calibration_images
from detkit.api.export_metadata import describe_export
from detkit.assembly import Classes
from detkit.data.evaluation_split import measured_split
from detkit.errors import UserError
from detkit.export.certificate import Certificate
from detkit.export.certification import WrittenModel, certify
from detkit.export.evidence import Evidence
from detkit.export.graph import example_images, graph_module, size_step
from detkit.export.problems import refuse_problems
from detkit.export.trial_images import canvas, noise_images
from detkit.inference.engines.contract import RawArrays
from detkit.inference.engines.suppression import has_numpy_form, suppress
from detkit.interfaces import Exporter
from detkit.runs.checkpoint import Checkpoint, load_weights
from detkit.structures import Batch, ExportGraph
from detkit.structures.arrays import DetectionArrays
from detkit.structures.export_graph import Images

_TRIED_IMAGES = 3  # of the validation set, whose outputs are compared in several sizes
_FAILED = "failed"


class Exported(NamedTuple):
    """A written model.

    Attributes:
        path: Its file or folder; the name says so if the certificate failed.
        certificate: What it was checked for.
        files: The files of the certificate.
    """

    path: Path
    certificate: Certificate
    files: list[Path]


class Export:
    """A checkpoint and where to export it; everything is checked when it is made.

    Args:
        checkpoint: Its weights and class names.
        config: The checked configuration of the root `export`.
        name: The name of the output if the configuration has none.

    Attributes:
        output: The file or folder to write.
        notes: Lines on what was chosen automatically or cannot be done.

    Raises:
        UserError: A part cannot be exported, a package is missing, or settings contradict.
    """

    def __init__(self, checkpoint: Checkpoint, config: Mapping[str, Any], name: str) -> None:
        self._config = config
        self._format = config["exporter"]["name"]
        self._classes = Classes(
            checkpoint.class_names, checkpoint.category_ids, checkpoint.class_counts
        )
        wiring = self._classes.wiring()
        self._exporter: Exporter = assembly.build(
            "exporter", config["exporter"], wiring, ("exporter",)
        )
        self._refuse_settings()
        self._exporter.require()
        self.notes: list[str] = []
        self.output = self._output(name)
        self._detector = assembly.build_detector(
            config["model"], self._classes, fetch_weights=False
        )
        refuse_problems(self._detector, nms=config["nms"])
        load_weights(self._detector, checkpoint)
        self._detector.eval()
        described = describe_export(config, self._classes, self._detector, checkpoint.path)
        self._metadata, notes = described
        self.notes += notes
        self._data = assembly.build_data(config).with_classes(self._classes.names)
        self._calibration = self._calibrate() if config["precision"] == "int8" else []
        self._batches = self._read_batches()

    def _refuse_settings(self) -> None:
        """Refuse settings that this format cannot follow.

        Raises:
            UserError: There are some.
        """
        precision, precisions = self._config["precision"], self._exporter.precisions
        if precision not in precisions:
            raise UserError(
                f"format={self._format} writes {', '.join(precisions)}, not precision={precision}."
            )
        for key in ("calibration", "keep_float", "sensitivity"):
            if self._config[key] and precision != "int8":
                raise UserError(f"{key} has an effect on precision=int8 only, got {precision}.")
        if self._config["sensitivity"] and self._exporter.engine != "onnxruntime":
            raise UserError("sensitivity=true is measured by onnxruntime: use format=onnx for it.")

    def _output(self, name: str) -> Path:
        """The path to write, with the format's suffix; its folder is made.

        Raises:
            UserError: It has another suffix, or cannot be written.
        """
        suffix, precision = self._exporter.suffix, self._config["precision"]
        default = f"{name}{'' if precision == 'fp32' else f'_{precision}'}{suffix}"
        path = Path(self._config["output"] or default).expanduser()
        if path.suffix != suffix and (suffix or path.is_file()):
            expected = f"a file that ends in {suffix}" if suffix else "a folder"
            raise UserError(f"output={path}: format={self._format} writes {expected}.")
        if path.is_dir() and any(path.iterdir()):
            raise UserError(
                f"output={path} is a folder with files, which an export would replace: name a new "
                "one, or remove it first."
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"output={path} cannot be written ({error.strerror}).") from error
        if path.exists():
            self.notes.append(f"{path} exists and will be replaced")
        return path

    def _calibrate(self) -> list[Images]:
        images, note = calibration_images(
            self._config,
            self._data,
            assembly.build_transforms(self._config["augmentation"], "evaluation"),
            self._metadata,
        )
        self.notes.append(note)
        return images

    def _read_batches(self) -> Sequence[Any] | None:
        """The loader of the validation images; None, with a note, if they cannot be read."""
        try:
            split = measured_split(self._data, self._config["split"])
            self._reason = ""
            return self._data.measuring_loader(split.index)  # type: ignore[return-value]
        except UserError as error:
            self._reason = f"no images to measure it on ({error})"
            self.notes.append(f"the certificate will lack AP and real images: {error}")
            return None

    def run(self) -> Exported:
        """Write the model and its certificate, and move both to the output."""
        size = self._metadata.size or assembly.image_size(self._config)
        step = size_step(self._metadata.pad_multiple, self._metadata.stride)
        graph = ExportGraph(
            module=graph_module(self._detector, nms=self._metadata.nms),
            example=example_images(
                size,
                self._metadata.batch,
                is_dynamic=self._metadata.size is None,
                step=step,
                stride=self._metadata.stride,
                channels=self._metadata.channels,
            ),
            metadata=self._metadata,
            calibration=self._calibration,
            keep_float=tuple(self._config["keep_float"]),
            measures_sensitivity=self._config["sensitivity"],
        )
        with TemporaryDirectory(prefix=".export-", dir=self.output.parent) as folder:
            path = Path(folder) / self.output.name
            written = self._exporter.write(graph, path)
            model = WrittenModel(path, self._format, written)
            certificate = certify(graph, self._exporter, model, self._evidence(size, step))
            if written.float_file is not None:
                for file in written.float_file.parent.glob(f"{written.float_file.stem}.*"):
                    file.unlink()
            return self._publish(Path(folder), certificate)

    def _evidence(self, size: tuple[int, int], step: int) -> Evidence:
        images: list[Images] = []
        for batch in self._batches or ():
            readable = [n for n in range(len(batch)) if n not in batch.blank]
            images += [canvas(batch, self._metadata)[n] for n in readable]
            if len(images) >= _TRIED_IMAGES:
                break
        metrics = [assembly.build_metric(self._config, self._classes) for _ in range(2)]
        return Evidence(
            images=images[:_TRIED_IMAGES] or noise_images(self._metadata, size),
            step=step,
            batches=self._batches if images else None,
            reason=self._reason or "no image of the split can be read",
            metrics=(metrics[0], metrics[1]),
            predict=self._predict,
            finish=self._finish(),
            ap_tolerance=self._config["ap_tolerance"],
            threads=torch.get_num_threads(),
        )

    def _finish(self) -> Callable[[Sequence[Images]], list[DetectionArrays]] | None:
        """The post-processing of raw outputs in NumPy; None if the graph or only PyTorch has it."""
        node = self._metadata.postprocess
        if self._metadata.nms or node is None or not has_numpy_form(node):
            return None
        return lambda raw: suppress(RawArrays(*raw), node)

    def _predict(self, batch: Batch) -> Any:
        with torch.inference_mode():
            return self._detector.predict(batch)

    def _publish(self, folder: Path, certificate: Certificate) -> Exported:
        """Move what was written to the output, under a name that tells a failure."""
        suffix = self._exporter.suffix
        stem = self.output.name.removesuffix(suffix) if suffix else self.output.name
        name = stem if certificate.passed else f"{stem}.{_FAILED}"
        for path in sorted(folder.iterdir()):
            target = self.output.parent / (name + path.name[len(stem) :])
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)
        files = certificate.write(self.output.parent, name)
        return Exported(self.output.with_name(f"{name}{suffix}"), certificate, files)
