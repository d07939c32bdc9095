"""What the probes that ask few-shot questions share."""
