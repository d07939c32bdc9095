"""Training: one small trainer, one file per objective, and the recipe of the bundled models."""
