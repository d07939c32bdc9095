"""The probe `needle`: its cells and measurement, its report, its examples."""
