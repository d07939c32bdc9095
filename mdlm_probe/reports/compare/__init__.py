"""Two runs, item by item."""
