"""transformers' DETR and detkit's with the same random weights, for one padded batch."""

import torch

import detkit
from detkit.structures import Batch, PaddedTargets, Target
from detkit.weights.detr_source import tensors_of_detr

SIZES = [(128, 160), (96, 128)]
CLASSES = ["a", "b", "c"]
WIDTH, QUERIES = 32, 12
WORDS = [
    "model=detr",
    "model/backbone=resnet18",
    "model.backbone.norm=frozen_batch",
    f"model.neck.out_channels={WIDTH}",
    f"model.head.width={WIDTH}",
    f"model.head.queries={QUERIES}",
    "model.head.encoder_layers=2",
    "model.head.decoder_layers=3",
    "model.head.attention_heads=4",
    "model.head.feed_forward=64",
    "model.head.dropout=0.0",
]


def transformers_detr(transformers):
    """A small DETR of transformers with random weights, also in its norms."""
    backbone = transformers.ResNetConfig(
        embedding_size=64,
        hidden_sizes=[64, 128, 256, 512],
        depths=[2, 2, 2, 2],
        layer_type="basic",
        out_features=["stage4"],
    )
    config = transformers.DetrConfig(
        use_timm_backbone=False,
        backbone=None,
        use_pretrained_backbone=False,
        backbone_config=backbone,
        d_model=WIDTH,
        num_queries=QUERIES,
        encoder_layers=2,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_labels=len(CLASSES),
        # With auxiliary_loss=True its decoder hands normalised states to the next layer, unlike the
        # authors' code and its own published weights.
        auxiliary_loss=False,
        dropout=0.0,
    )
    torch.manual_seed(0)
    model = transformers.DetrForObjectDetection(config)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if "normalization.running_var" in name:
                value.uniform_(0.5, 1.5)
            elif value.dim() == 1:
                value.add_(0.1 * torch.randn_like(value))
    return model.eval()


def detkit_detr(names_and_tensors):
    """detkit's detector with the weights of the other."""
    config = detkit.compose([*WORDS, "model.backbone.weights=null"])
    detector = detkit.build(config, class_names=CLASSES)
    detector.load_state_dict(tensors_of_detr(names_and_tensors), strict=False)
    missing = set(detector.state_dict()) - set(tensors_of_detr(names_and_tensors))
    assert not missing
    return detector.eval()


def padded_batch():
    """Two images with objects, the second one padded."""
    random = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (2, 3, *SIZES[0]), dtype=torch.uint8, generator=random)
    targets = []
    for count, (height, width) in zip((3, 2), SIZES, strict=True):
        corners = torch.rand(count, 2, generator=random) * 40
        boxes = torch.cat([corners, corners + 10 + 30 * torch.rand(count, 2, generator=random)], 1)
        assert boxes.max() < min(height, width)
        labels = torch.randint(len(CLASSES), (count,), generator=random)
        targets.append(Target(boxes, labels, torch.zeros(count, dtype=torch.bool)))
    return Batch(
        images=images,
        image_sizes=SIZES,
        targets=PaddedTargets.of(targets),
        original_targets=targets,
        image_ids=[0, 1],
        paths=["", ""],
        original_sizes=SIZES,
        to_image=torch.eye(3, dtype=torch.float64).repeat(2, 1, 1),
    )


def transformers_input(detector, batch):
    """Normalised pixels, the mask and the labels as transformers takes them."""
    pixels = (batch.images.float() - detector.pixel_mean) / detector.pixel_std
    mask, labels = torch.zeros(2, *SIZES[0], dtype=torch.int64), []
    for image, ((height, width), target) in enumerate(
        zip(SIZES, batch.original_targets, strict=True)
    ):
        mask[image, :height, :width] = 1
        extent = torch.tensor([width, height] * 2)
        low, high = target.boxes.split(2, dim=1)
        boxes = torch.cat([(low + high) / 2, high - low], dim=1) / extent
        labels.append({"class_labels": target.labels, "boxes": boxes})
    return {"pixel_values": pixels * mask[:, None], "pixel_mask": mask, "labels": labels}
