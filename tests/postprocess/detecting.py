"""Post-process a single image, or images with different numbers of candidates."""

from torch.nn.utils.rnn import pad_sequence


def detect(part, boxes, scores, labels):
    """The detections of the candidates of one image."""
    return part(boxes[None], scores[None], labels[None]).split()[0]


def detect_together(part, images):
    """The detections of each image, from candidates padded with a score of 0."""
    return part(
        *(pad_sequence(column, batch_first=True) for column in zip(*images, strict=True))
    ).split()
