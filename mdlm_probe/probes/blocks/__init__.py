"""The probe `blocks`: its cells and measurement, its report, its examples."""
