"""mdlm-probe: how masked diffusion language models use context, beside autoregressive ones."""

__version__ = "0.1.0"
