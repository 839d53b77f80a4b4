//! One value in one text.

use std::ops::Range;

use crate::kind::Kind;

/// Score of what its label says it is.
pub(crate) const LABELLED: f32 = 0.9;

/// One value in one text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hit {
    pub(crate) kind: Kind,
    /// Its bytes in the text.
    pub(crate) range: Range<usize>,
    /// Confidence, 0 to 1.
    pub(crate) score: f32,
    /// The same for every way in which the value is written.
    pub(crate) name: Vec<u8>,
    /// Known to be nobody's: it is not reported, and nothing else is made of its bytes.
    pub(crate) quiet: bool,
}
