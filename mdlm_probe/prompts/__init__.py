"""What models are asked: few-shot suites, texts to continue, lm-eval's documents."""
