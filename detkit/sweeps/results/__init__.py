"""What the jobs of a sweep reached: tables, and the effect of each key."""
