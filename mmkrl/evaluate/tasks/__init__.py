"""What is measured: retrieval, recognition, link prediction, classification, clustering."""
