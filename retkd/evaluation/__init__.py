"""Measures, paired statistics, the share of the gap that a student closes, and queries won and lost."""
