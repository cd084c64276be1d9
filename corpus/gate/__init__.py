"""Data gate: tables, suites of expectations, findings and Data Docs. The only package that imports Great Expectations."""
