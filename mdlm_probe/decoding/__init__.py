"""The unmasking loop: canvases, schedules, and the answers that come out."""
