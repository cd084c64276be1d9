"""What several readers share: strict files, rows that are named when they are wrong, and what the field does with them."""
