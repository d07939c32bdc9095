"""What every room stands on: errors, seeds, options, files, run folders, and the catalog."""
