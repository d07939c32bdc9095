"""The probe `remasking`: its cells and measurement, its report, its examples."""
