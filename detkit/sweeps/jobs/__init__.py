"""The jobs of a sweep: their folders, records, processes and devices."""
