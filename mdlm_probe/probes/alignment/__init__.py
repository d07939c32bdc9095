"""The probe `alignment`: its cells and measurement, its report, its examples."""
