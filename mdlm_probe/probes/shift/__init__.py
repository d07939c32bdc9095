"""The probe `shift`: its cells and measurement, its report, its examples."""
