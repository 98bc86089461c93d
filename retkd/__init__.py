"""Retrieval distillation: mine, score, select, train, index, evaluate, export, report."""
