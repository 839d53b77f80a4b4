//! Finds credentials by format, checksum and entropy.
