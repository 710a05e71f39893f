"""Models of triples of a knowledge graph: TransE, DistMult, ComplEx, RotatE, IKRL."""
