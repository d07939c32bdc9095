"""Single items of a run as a person reads them: what was asked, what came back."""
