//! The text front end of the detectors: folding and decoding with a way back to the original bytes.
