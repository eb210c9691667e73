"""Directions that change one attribute of a generator's pictures: found, measured, and given a unit."""
