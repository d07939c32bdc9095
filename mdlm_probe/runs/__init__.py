"""From options to rows: plans, their costs, and what carries them out."""
