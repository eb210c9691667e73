"""Thin Lightning modules, one a job, and their callbacks."""

import chunkygan._torchmetrics  # noqa: F401  (before pytorch_lightning imports torchmetrics)
