"""Learning-rate schedules: the factor of each optimizer step, warm-up included."""
