"""A trained space as an MLflow model that anyone can load and ask."""
