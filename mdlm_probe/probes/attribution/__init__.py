"""The probe `attribution`: its cells and measurement, its report, its examples."""
