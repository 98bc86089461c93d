"""Models that read a query and a document together, or their token states: run on texts, fast, in fixed order."""
