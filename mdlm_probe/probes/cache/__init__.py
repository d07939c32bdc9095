"""The probe `cache`: its cells and measurement, its report, its examples."""
