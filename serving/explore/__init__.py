"""A page in the browser that looks at a served model."""
