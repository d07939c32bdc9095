"""From rows to what people read: pages, comparisons, exports."""
