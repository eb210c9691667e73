"""Downloading public weight files, checked and placed at once."""
