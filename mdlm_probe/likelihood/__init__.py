"""Log-likelihoods of texts: the chain rule, and estimates for masked models."""
