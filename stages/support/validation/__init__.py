"""What `validate` is made of: tables, suites of expectations, the gate and its Data Docs."""
