"""Charts: scales, ticks, what is drawn of many points, and the drawing as SVG; pure."""
