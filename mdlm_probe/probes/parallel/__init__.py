"""The probe `parallel`."""
