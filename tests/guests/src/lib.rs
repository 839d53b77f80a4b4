//! Guests with one behaviour each live in `examples/`.
