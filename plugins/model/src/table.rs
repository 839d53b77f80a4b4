//! Files of tables: eight letters that say which, then numbers, little-endian.

/// What a score means, after Platt (1999): the probability is that of `slope * score + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Calibration {
    /// Of the score.
    pub slope: f32,
    /// Added to it.
    pub offset: f32,
}

/// Why a table cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The file of something else.
    #[error("not the model that is wanted: it does not begin with {0}")]
    Magic(&'static str),
    /// It ends too soon.
    #[error("the model is cut")]
    Cut,
    /// Bytes after its end.
    #[error("the model goes on for {0} bytes behind its end")]
    Long(usize),
    /// A number that is none.
    #[error("a number of the model is not finite")]
    NotFinite,
    /// A table of a size that is not used, or for something else; the text says which.
    #[error("the model does not fit: {0}")]
    Size(String),
}

impl From<ModelError> for String {
    fn from(error: ModelError) -> String {
        error.to_string()
    }
}

impl Default for Calibration {
    /// A score is the logarithm of the odds.
    fn default() -> Calibration {
        Calibration { slope: 1.0, offset: 0.0 }
    }
}

impl Calibration {
    /// What a score means, 0 to 1: the logistic function.
    #[must_use]
    pub fn probability(&self, score: f32) -> f32 {
        1.0 / (1.0 + libm::expf(-(self.slope * score + self.offset)))
    }
}

/// What is left of a table.
#[derive(Debug, Clone)]
pub struct Reader<'t> {
    rest: &'t [u8],
}

impl<'t> Reader<'t> {
    /// Reads a file that begins with `magic`.
    ///
    /// # Errors
    /// It does not.
    pub fn new(bytes: &'t [u8], magic: &'static str) -> Result<Reader<'t>, ModelError> {
        let rest = bytes.strip_prefix(magic.as_bytes()).ok_or(ModelError::Magic(magic))?;
        Ok(Reader { rest })
    }

    /// The next bytes, as many as are asked for.
    ///
    /// # Errors
    /// There are not so many.
    pub fn bytes<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], ModelError> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(ModelError::Cut)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// So many bytes, where they lie.
    ///
    /// # Errors
    /// There are not so many.
    pub fn take(&mut self, count: usize) -> Result<&'t [u8], ModelError> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(ModelError::Cut)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A number.
    ///
    /// # Errors
    /// There is none, or it is not finite.
    pub fn float(&mut self) -> Result<f32, ModelError> {
        let float = f32::from_le_bytes(self.bytes()?);
        if float.is_finite() { Ok(float) } else { Err(ModelError::NotFinite) }
    }

    /// So many numbers.
    ///
    /// # Errors
    /// There are not so many, or one is not finite.
    pub fn floats(&mut self, count: usize) -> Result<Vec<f32>, ModelError> {
        (0..count).map(|_| self.float()).collect()
    }

    /// Slope and offset.
    ///
    /// # Errors
    /// They are not there, or not finite.
    pub fn calibration(&mut self) -> Result<Calibration, ModelError> {
        Ok(Calibration { slope: self.float()?, offset: self.float()? })
    }

    /// Everything that is left.
    #[must_use]
    pub fn rest(self) -> &'t [u8] {
        self.rest
    }

    /// The end of the file.
    ///
    /// # Errors
    /// It is not here.
    pub fn end(self) -> Result<(), ModelError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ModelError::Long(self.rest.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_piece_by_piece_and_no_further_than_it_goes() {
        let bytes = [b"PCLTEST1".as_slice(), &[7, 1, 0], &2.0_f32.to_le_bytes(), &f32::NAN.to_le_bytes()].concat();
        let read = |bytes| Reader::new(bytes, "PCLTEST1");
        assert_eq!(read(b"PCLTEST").unwrap_err(), ModelError::Magic("PCLTEST1"));
        let mut reader = read(&bytes).unwrap();
        assert_eq!((reader.bytes(), reader.take(2), reader.float()), (Ok([7]), Ok([1, 0].as_slice()), Ok(2.0)));
        assert_eq!(reader.clone().end(), Err(ModelError::Long(4)));
        assert_eq!(reader.take(5), Err(ModelError::Cut));
        assert_eq!(reader.clone().calibration(), Err(ModelError::NotFinite));
        assert_eq!(reader.floats(1), Err(ModelError::NotFinite));
        assert_eq!((reader.bytes::<1>(), reader.end()), (Err(ModelError::Cut), Ok(())));
    }

    #[test]
    fn a_score_means_what_slope_and_offset_say() {
        assert_eq!(Calibration { slope: 2.0, offset: -1.0 }.probability(0.5), 0.5);
        assert_eq!(Calibration::default().probability(0.0), 0.5);
    }
}
