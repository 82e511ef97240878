//! Who may change what runs: whoever has the token.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use axum::http::{HeaderMap, StatusCode, header};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};

use super::problem::Problem;

const TOKEN_BYTES: usize = 32;
/// Of a file that somebody else has written.
const FILE_BYTES_MAX: u64 = 4096;
const FILE: &str = "api-token";

/// Its digest is kept, and compared: how long that takes tells nothing of the token.
#[derive(Debug, Clone)]
pub enum Token {
    Known {
        digest: [u8; 32],
        file: PathBuf,
    },
    /// There is none, so that nobody may.
    None {
        why: String,
    },
}

/// Why a token cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("[api] token_file: {}: {what}", file.display())]
    File { file: PathBuf, what: String },
}

impl Token {
    /// As somebody has put it into a file.
    pub fn configured(file: &Path) -> Result<Token, TokenError> {
        let failed = |what: String| TokenError::File { file: file.to_owned(), what };
        let bytes = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(failed(format!("has {bytes} bytes, more than {FILE_BYTES_MAX}: is it a token?")));
        }
        let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
        match text.trim() {
            token if token.len() < 16 => {
                Err(failed("is shorter than 16 characters; `openssl rand -hex 32` makes a good one".into()))
            }
            token => Ok(Token::Known { digest: digest_of(token), file: file.to_owned() }),
        }
    }

    /// The one that an earlier start has left in the folder, or a new one, which only its owner may read.
    pub fn kept_in(folder: &Path) -> Token {
        let file = folder.join(FILE);
        if file.exists() {
            return Token::configured(&file).unwrap_or_else(|error| Token::None { why: error.to_string() });
        }
        let made =
            std::fs::create_dir_all(folder).map_err(|error| error.to_string()).and_then(|()| make(&file));
        match made {
            Ok(token) => Token::Known { digest: digest_of(&token), file },
            Err(why) => Token::None { why: format!("{}: {why}", file.display()) },
        }
    }

    pub fn none(why: &str) -> Token {
        Token::None { why: why.to_owned() }
    }

    pub fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let (digest, file) = match self {
            Token::Known { digest, file } => (digest, file),
            Token::None { why } => {
                let detail = format!(
                    "nothing can be changed here: there is no token ({why}); name one by [api] token_file, or use \
                     the command line (`gridwatch rollback`)"
                );
                return Err(Problem::forbidden(detail));
            }
        };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|given| {
            let (scheme, token) = given.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        match given {
            Some(token) if digest_of(token) == *digest => Ok(()),
            Some(_) => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                format!("this is not the token; it is in {}", file.display()),
            )),
            None => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                format!("send the header `Authorization: Bearer TOKEN`; the token is in {}", file.display()),
            )),
        }
    }
}

fn make(file: &Path) -> Result<String, String> {
    let mut bytes = [0; TOKEN_BYTES];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| error.to_string())?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut open = std::fs::OpenOptions::new();
    let mut written =
        open.write(true).create_new(true).mode(0o600).open(file).map_err(|error| error.to_string())?;
    writeln!(written, "{token}").and_then(|()| written.sync_all()).map_err(|error| error.to_string())?;
    Ok(token)
}

fn digest_of(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::os::unix::fs::PermissionsExt;

    use axum::http::HeaderValue;

    use super::*;

    fn with(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization).unwrap());
        headers
    }

    #[test]
    fn a_token_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let Token::Known { digest, file } = Token::kept_in(&state) else { panic!("no token") };
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&file).unwrap();
        let again = Token::kept_in(&state);
        assert!(matches!(&again, Token::Known { digest: second, .. } if *second == digest));
        assert_eq!(again.check(&with(&format!("Bearer {}", text.trim()))), Ok(()));
        for wrong in ["Bearer ", "Bearer x", "Basic dXNlcg==", text.trim()] {
            assert_eq!(again.check(&with(wrong)).unwrap_err().status, 401, "{wrong}");
        }
        assert_eq!(again.check(&HeaderMap::new()).unwrap_err().status, 401);
    }

    #[test]
    fn without_a_token_nobody_may() {
        let problem = Token::none("checkpoints are in a bucket").check(&with("Bearer x")).unwrap_err();
        assert_eq!(problem.status, 403);
        assert!(problem.detail.contains("token_file"), "{}", problem.detail);
    }

    #[test]
    fn a_token_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "short\n").unwrap();
        for (file, what) in [(file, "shorter"), (folder.path().join("none"), "No such file")] {
            let error = Token::configured(&file).unwrap_err().to_string();
            assert!(error.contains(what) && error.starts_with("[api] token_file"), "{error}");
        }
    }
}
