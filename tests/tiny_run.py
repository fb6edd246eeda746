"""A run that takes seconds."""

TINY = [
    "model=fcos",
    "model/backbone=timm",
    "model.backbone.model=test_resnet",
    "model.neck.out_channels=16",
    "model.head.layers.convs=1",
    "data.reader.train_images=8",
    "data.reader.validation_images=4",
    "data.reader.image_size=96",
    "data.batch_size=4",
    "data.workers=0",
    "trainer.max_epochs=2",
    "trainer.log_every=1",
    "callbacks=average",
]

# A tiny run finds nothing with confidence: post-processing keeps its 20 best guesses.
GUESSES = [
    "model.head.postprocess.score_threshold=0",
    "model.head.postprocess.max_detections=20",
]
