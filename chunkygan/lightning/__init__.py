"""Thin Lightning modules, one a job, and their callbacks."""
