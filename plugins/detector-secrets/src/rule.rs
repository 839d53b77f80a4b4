//! What a rule is made of.

/// What else a value has to be, beyond its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Nothing.
    None,
    /// Letters and digits both: the form alone could be a word or a name.
    Mixed,
    /// As random as a key of its length is.
    HighEntropy,
    /// The last six characters are the CRC-32 of the rest, in base 62. A wrong sum lowers the score.
    Crc62,
    /// The last eight digits are the CRC-32 of the rest, in hexadecimal. A wrong sum lowers the score.
    GrafanaCrc,
    /// A bech32 checksum. A wrong sum lowers the score.
    Bech32,
    /// Base64 of `user:password`.
    UserPassword,
    /// The first part is the base64 of a number.
    Discord,
    /// Base64 of a JSON Web Token.
    WebToken,
}

/// One built-in format.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// The kind: the category is `secret.` and this. Unique.
    pub(crate) id: &'static str,
    /// Whose token it is.
    pub(crate) provider: &'static str,
    /// What it is, for people.
    pub(crate) title: &'static str,
    /// What it looks like.
    pub(crate) forms: &'static [&'static str],
    /// Words, in lower case, one of which must stand in the name of the value; empty for a format that speaks for itself.
    pub(crate) near: &'static [&'static str],
    /// What else it has to be.
    pub(crate) check: Check,
    /// Score of a match.
    pub(crate) score: f32,
}

/// A format that speaks for itself.
pub(crate) const fn form(
    id: &'static str,
    provider: &'static str,
    title: &'static str,
    forms: &'static [&'static str],
) -> Rule {
    Rule { id, provider, title, forms, near: &[], check: Check::None, score: 0.95 }
}

/// A format that needs one of these words in the name of the value.
pub(crate) const fn near(
    id: &'static str,
    provider: &'static str,
    title: &'static str,
    near: &'static [&'static str],
    forms: &'static [&'static str],
) -> Rule {
    Rule { id, provider, title, forms, near, check: Check::None, score: 0.8 }
}

impl Rule {
    /// With a further check.
    pub(crate) const fn check(self, check: Check) -> Self {
        Self { check, ..self }
    }

    /// With another score.
    pub(crate) const fn score(self, score: f32) -> Self {
        Self { score, ..self }
    }
}
