"""Geometry of the charts: pure functions from rates to coordinates, which the templates draw as SVG."""
