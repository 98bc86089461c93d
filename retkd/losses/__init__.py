"""Losses: pure functions of tensors. No model, no device, no randomness, no logging."""
