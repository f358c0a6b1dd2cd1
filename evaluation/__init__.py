"""Measures the other rooms on question sets."""
