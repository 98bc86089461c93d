"""What people read: the table on the terminal, the HTML report, the model card."""
