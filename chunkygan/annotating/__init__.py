"""Folders of painted label pictures, for training segmentation heads."""
