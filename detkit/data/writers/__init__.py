"""Write data sets as COCO, Pascal VOC or YOLO."""
