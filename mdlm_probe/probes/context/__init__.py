"""The probe `context`: its cells and measurement, its report, its examples."""
