"""The probe `locality`: its cells and measurement, its report, its examples."""
