"""Objectives of tuning: each file is one, found by its name.

A file declares `plan`, whose annotated keywords become options of the command line and which makes
an `Objective` of them; `loss`, a pure function of logits; and in its docstring's first line what it
is.
"""
