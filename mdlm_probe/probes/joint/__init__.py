"""The probe `joint`: its cells and measurement, its report, its examples."""
