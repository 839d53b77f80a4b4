//! Finds instructions aimed at the model: patterns over folded and decoded text.
