"""Training: batches of candidate lists, the student under its objective, what is trained beside it, the loop."""
