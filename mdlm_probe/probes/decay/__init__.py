"""The probe `decay`: its cells and measurement, its report, its examples."""
