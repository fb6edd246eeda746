"""Features and regions to losses and detections."""
