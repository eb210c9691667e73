"""Photographs that are not aligned: finding the face, cutting it out, and putting it back."""
