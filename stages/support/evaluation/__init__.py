"""What `evaluate` is made of: questions, predictions, tables, pictures and the report page."""
