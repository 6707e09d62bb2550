"""Face detection networks, one class per decoder. `engine.detect` chooses among them."""
