"""Statistics, tables and charts of rows; never torch."""
