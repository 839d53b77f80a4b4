use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_model::Digest;
use zeroize::Zeroizing;

/// Marks a token of ours, so that secret scanners recognise one that leaked.
const PREFIX: &str = "pct_";

/// A freshly made token: shown once to whoever asked for it, wiped from memory when dropped, never printed by `Debug`.
pub struct Token(Zeroizing<String>);

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes for a token: {0}")]
pub struct TokenError(getrandom::Error);

/// Makes a token: `pct_` and 32 random bytes in base64url, 47 characters in all.
///
/// # Errors
/// The operating system gave no random bytes.
pub fn generate_token() -> Result<Token, TokenError> {
    generate_token_as(PREFIX)
}

/// Makes a token that begins otherwise, for clients that look at the beginning of theirs.
///
/// # Errors
/// The operating system gave no random bytes.
pub fn generate_token_as(prefix: &str) -> Result<Token, TokenError> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    getrandom::fill(bytes.as_mut_slice()).map_err(TokenError)?;
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + 43));
    text.push_str(prefix);
    URL_SAFE_NO_PAD.encode_string(bytes.as_slice(), &mut text);
    Ok(Token(text))
}

/// SHA-256 of a token's text: what the configuration file holds.
///
/// A plain hash is enough because tokens are 256 random bits: nobody finds one by guessing.
#[must_use]
pub fn token_digest(token: &str) -> Digest {
    Digest::of(token.as_bytes())
}

impl Token {
    /// The token itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the configuration file holds in its place.
    #[must_use]
    pub fn digest(&self) -> Digest {
        token_digest(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn tokens_are_long_different_and_hidden() {
        let tokens: Vec<Token> = (0..64).map(|_| generate_token().unwrap()).collect();
        for token in &tokens {
            let body = token.expose().strip_prefix("pct_").unwrap();
            assert_eq!(URL_SAFE_NO_PAD.decode(body).unwrap().len(), 32);
            assert_eq!(token.digest(), Digest::of(token.expose().as_bytes()));
            assert!(!format!("{token:?}").contains(body));
        }
        assert!(generate_token_as("arden_test_").unwrap().expose().starts_with("arden_test_"));
        assert_eq!(tokens.iter().map(Token::expose).collect::<HashSet<_>>().len(), 64);
    }
}
