//! Who may see customer data: nobody on a public address without a token. Decides from the address,
//! the token and a request's headers; answers nothing itself. Called by `service` and `reload`, by
//! `check`, and by the customer handlers on each request.

use std::fmt;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, HOST};
use thiserror::Error;

/// The shortest token in characters: 16 random hexadecimal digits cannot be guessed over HTTP.
const TOKEN_CHARS_MIN: usize = 16;

/// The secret that a request for customer data shows. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

impl Token {
    /// Reads a token: the file's text without the blanks and line ends around it.
    ///
    /// # Errors
    /// When the file cannot be read, is too short, or holds what an HTTP header cannot.
    pub fn read(file: &Path) -> Result<Self, AccessError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| AccessError::Unreadable { file: file.to_owned(), error })?;
        let token = text.trim();
        if token.len() < TOKEN_CHARS_MIN {
            return Err(AccessError::Short { file: file.to_owned(), n_chars: token.len() });
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AccessError::NotPrintable { file: file.to_owned() });
        }
        Ok(Self(token.into()))
    }

    /// Compares in a time that depends on the lengths only.
    fn is(&self, shown: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differing = own.iter().zip(shown).fold(0, |bits, (own, shown)| bits | (own ^ shown));
        own.len() == shown.len() && black_box(differing) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why the server must not start.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum AccessError {
    #[error(
        "`http.listen` is `{listen}`, which other machines can reach: set `http.token_file` to a \
         file with a secret token, or listen on `127.0.0.1:{}`", listen.port()
    )]
    Public { listen: SocketAddr },
    #[error("failed to read `http.token_file` `{}`: {error}", file.display())]
    Unreadable { file: PathBuf, error: io::Error },
    #[error(
        "the token in `http.token_file` `{}` has `{n_chars}` characters; use at least \
         {TOKEN_CHARS_MIN}, for example from `openssl rand -hex 32`", file.display()
    )]
    Short { file: PathBuf, n_chars: usize },
    #[error(
        "the token in `http.token_file` `{}` has a blank or a character outside ASCII in it; use \
         letters and digits, for example from `openssl rand -hex 32`", file.display()
    )]
    NotPrintable { file: PathBuf },
}

/// The rule for customer data; its clones are one.
#[derive(Clone, Debug)]
pub struct Access(Arc<RwLock<Rule>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    /// Whoever is on this machine may look.
    ThisMachine,
    /// Whoever shows the token may look, from wherever.
    Bearer(Token),
}

/// Settles who may see customer data. A token is asked for wherever one is configured, also on
/// loopback: a proxy may stand in front.
///
/// # Errors
/// [`AccessError::Public`] for an address that others can reach and no token.
pub fn guard(listen: SocketAddr, token: Option<Token>) -> Result<Access, AccessError> {
    let rule = match token {
        Some(token) => Rule::Bearer(token),
        None if listen.ip().to_canonical().is_loopback() => Rule::ThisMachine,
        None => return Err(AccessError::Public { listen }),
    };
    Ok(Access(Arc::new(RwLock::new(rule))))
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No token, or another one.
    Token,
    /// A browser was led here under a name that is not this machine's.
    ForeignHost(String),
}

impl Access {
    /// Goes on by the rule of another, from the next request on. Says whether it is another one.
    pub fn replace(&self, other: &Self) -> bool {
        let new = other.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut rule = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = *rule != new;
        *rule = new;
        is_new
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Rule::Bearer(token) => match bearer(headers) {
                Some(shown) if token.is(shown) => Ok(()),
                Some(_) | None => Err(Refusal::Token),
            },
            // Without this check any web page could make its visitor's browser read customers here:
            // a name of its own that resolves to 127.0.0.1 passes the browser's same-origin rule.
            Rule::ThisMachine => match headers.get(HOST) {
                Some(host) if !is_this_machine(host.as_bytes()) => {
                    Err(Refusal::ForeignHost(String::from_utf8_lossy(host.as_bytes()).into()))
                }
                Some(_) | None => Ok(()),
            },
        }
    }
}

/// The token of `Authorization: Bearer …`; the scheme's name has no case.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

fn is_this_machine(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;

    use super::*;

    const SECRET: &str = "0123456789abcdef";

    fn token_of(text: &str) -> Result<Token, AccessError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Token::read(file.path())
    }

    fn headers(name: axum::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn a_public_address_needs_a_token_and_the_error_says_what_to_do() {
        let check = |listen: &str, expect: bool| {
            let guarded = guard(listen.parse().unwrap(), None);
            assert_eq!(guarded.is_ok(), expect, "{listen}");
            if let Err(error) = guarded {
                let message = error.to_string();
                assert!(message.contains("http.token_file"), "{message}");
                assert!(message.contains(listen), "{message}");
            }
        };
        check("127.0.0.1:9464", true);
        check("127.9.9.9:9464", true);
        check("[::1]:9464", true);
        check("[::ffff:127.0.0.1]:9464", true);
        check("0.0.0.0:9464", false);
        check("[::]:9464", false);
        check("192.168.1.5:80", false);
        let token = token_of(SECRET).unwrap();
        assert!(guard("0.0.0.0:9464".parse().unwrap(), Some(token)).is_ok());
    }

    #[test]
    fn a_token_file_holds_one_long_printable_word() {
        assert!(token_of(&format!("  {SECRET}\n")).unwrap().is(SECRET.as_bytes()));
        assert!(matches!(token_of("short\n"), Err(AccessError::Short { n_chars: 5, .. })));
        let two = format!("{SECRET} {SECRET}");
        assert!(matches!(token_of(&two), Err(AccessError::NotPrintable { .. })));
        let missing = Token::read(Path::new("/nonexistent/token")).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent/token"), "{missing}");
    }

    #[test]
    fn only_the_whole_token_opens() {
        let listen = "127.0.0.1:1".parse().unwrap();
        let access = guard(listen, Some(token_of(SECRET).unwrap())).unwrap();
        let check = |value: &str, expect: bool| {
            let checked = access.check(&headers(AUTHORIZATION, value));
            assert_eq!(checked.is_ok(), expect, "{value}");
        };
        check("Bearer 0123456789abcdef", true);
        check("bearer 0123456789abcdef", true);
        check("Bearer 0123456789abcdeg", false);
        check("Bearer 0123456789abcde", false);
        check("Bearer 0123456789abcdef0", false);
        check("Bearer ", false);
        check("Basic 0123456789abcdef", false);
        check("0123456789abcdef", false);
        assert_eq!(access.check(&HeaderMap::new()), Err(Refusal::Token));
    }

    #[test]
    fn a_new_token_opens_and_the_old_one_does_not_for_every_clone() {
        let listen = "0.0.0.0:1".parse().unwrap();
        let access = |secret: &str| guard(listen, Some(token_of(secret).unwrap())).unwrap();
        let (running, new) = (access(SECRET), "fedcba9876543210");
        let served = running.clone();
        assert!(!running.replace(&access(SECRET)) && running.replace(&access(new)));
        let check = |secret: &str| {
            served.check(&headers(AUTHORIZATION, &format!("Bearer {secret}"))).is_ok()
        };
        assert_eq!((check(SECRET), check(new)), (false, true));
    }

    #[test]
    fn without_a_token_only_names_of_this_machine_are_answered() {
        let access = guard("127.0.0.1:1".parse().unwrap(), None).unwrap();
        let check = |host: &str, expect: bool| {
            assert_eq!(access.check(&headers(HOST, host)).is_ok(), expect, "{host}");
        };
        check("localhost:9464", true);
        check("LOCALHOST", true);
        check("127.0.0.1:9464", true);
        check("127.0.0.1", true);
        check("[::1]:9464", true);
        check("evil.example:9464", false);
        check("localhost.evil.example", false);
        check("127.0.0.1.evil.example", false);
        check("192.168.1.5:9464", false);
        assert!(access.check(&HeaderMap::new()).is_ok(), "HTTP/1.0 names no host");
    }

    #[test]
    fn a_token_is_never_printed() {
        let access = guard("0.0.0.0:1".parse().unwrap(), Some(token_of(SECRET).unwrap()));
        assert!(!format!("{access:?}").contains(SECRET));
    }
}
