"""Results of a sweep: tables, and the effect of each key."""
