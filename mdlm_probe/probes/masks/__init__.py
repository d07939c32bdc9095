"""The probe `masks`: its cells and measurement, its report, its examples."""
