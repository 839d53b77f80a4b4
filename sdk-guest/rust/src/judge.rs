//! A language model asked by the host, with budget and deadline. Using it asks for the grant `judge`; such a plugin needs a
//! deadline of seconds. There is none while it is configured.

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The model could not be reached, or not asked this.
    Unavailable(String),
    /// The tenant's budget is spent.
    BudgetSpent,
    /// No answer in time.
    TimedOut,
    /// The answer does not fit the template's schema.
    BadAnswer(String),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Unavailable(why) | Self::BadAnswer(why) => f.write_str(why),
            Self::BudgetSpent => f.write_str("the budget of the language model is spent"),
            Self::TimedOut => f.write_str("the language model did not answer in time"),
        }
    }
}

impl core::error::Error for Error {}

impl From<Error> for String {
    fn from(error: Error) -> Self {
        error.to_string()
    }
}

/// Asks with a prompt template of the host, with these values for its variables. The answer is JSON text that fits the
/// template's schema.
///
/// # Errors
/// See [`Error`].
pub fn ask(template: &str, variables: &[(&str, &str)]) -> Result<String, Error> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    #[cfg(target_family = "wasm")]
    return {
        let question = crate::bindings::judge::Question { template: template.to_owned(), variables };
        crate::bindings::judge::ask(&question).map_err(Into::into)
    };
    #[cfg(not(target_family = "wasm"))]
    return crate::testing::doubles(|doubles| doubles.ask(template, variables));
}
