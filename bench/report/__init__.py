"""Reports: figures over the rounds, as a table, JSON, HTML, SVG and Markdown."""
