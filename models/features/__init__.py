"""The declared features, and what follows from them: the schema, and Transform's preprocessing."""
