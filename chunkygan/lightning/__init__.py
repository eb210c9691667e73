"""Thin Lightning modules, one a job, and their callbacks."""

from chunkygan._torchvision import ensure_importable

ensure_importable()  # before pytorch_lightning, which imports torchvision where it is installed
