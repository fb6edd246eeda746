"""Transforms: steps of augmentation that move image, boxes and the map to the original image."""
