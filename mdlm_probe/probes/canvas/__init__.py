"""The probe `canvas`: its cells and measurement, its report, its examples."""
