"""The cost of trainings before they start."""
