//! The token that callers bear.

use std::fmt;

use hyper::header::{AUTHORIZATION, HeaderMap};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// The least length of a token, in bytes.
const LENGTH_MIN: usize = 16;

/// A secret that no log shows, kept as its hash.
#[derive(Clone)]
pub struct Bearer([u8; 32]);

/// Why a text is no token; `openssl rand -hex 32` makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidBearer {
    /// It would be guessed.
    #[error("a token of fewer than {LENGTH_MIN} bytes is soon guessed")]
    TooShort,
    /// No header can hold it.
    #[error("a token has visible ASCII characters only")]
    Characters,
}

impl Bearer {
    /// The token `text`.
    ///
    /// # Errors
    /// See `InvalidBearer`.
    pub fn new(text: &str) -> Result<Self, InvalidBearer> {
        if text.len() < LENGTH_MIN {
            return Err(InvalidBearer::TooShort);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidBearer::Characters);
        }
        Ok(Self(Sha256::digest(text).into()))
    }

    /// Whether a request with these headers bears it. Hashes are compared, in constant time, so that neither a token's length nor how
    /// much of it is right shows in the answer's delay.
    pub(super) fn is_borne(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, token)) = value.to_str().ok().and_then(|value| value.split_once(' ')) else { return false };
        let hash: [u8; 32] = Sha256::digest(token.trim_start()).into();
        scheme.eq_ignore_ascii_case("bearer") && hash.ct_eq(&self.0).into()
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(…)")
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn only_the_token_itself_is_let_in() {
        let bearer = Bearer::new(TOKEN).unwrap();
        let is_borne = |value: &'static str| {
            bearer.is_borne(&HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]))
        };
        assert!(is_borne("Bearer 0123456789abcdef") && is_borne("bearer  0123456789abcdef"));
        for value in ["", "Bearer", "Bearer ", "0123456789abcdef", "Basic 0123456789abcdef", "Bearer 0123456789abcdeF"]
        {
            assert!(!is_borne(value), "{value}");
        }
        assert!(!bearer.is_borne(&HeaderMap::new()));
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused_and_none_is_shown() {
        assert_eq!(Bearer::new("0123456789abcde").unwrap_err(), InvalidBearer::TooShort);
        assert_eq!(Bearer::new("0123456789abcdef\n").unwrap_err(), InvalidBearer::Characters);
        assert_eq!(format!("{:?}", Bearer::new(TOKEN).unwrap()), "Bearer(…)");
    }
}
