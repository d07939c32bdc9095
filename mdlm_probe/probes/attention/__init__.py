"""The probe `attention`: its cells and measurement, its report."""
