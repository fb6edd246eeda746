"""Data sets written in the form of COCO, Pascal VOC or YOLO."""
