"""Schemas, versioned datasets, readers, splits, word vectors: everything that is data at rest."""
