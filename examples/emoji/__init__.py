"""The demo's corpus and graph, built from openly licensed emoji."""
