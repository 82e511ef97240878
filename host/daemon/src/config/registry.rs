//! `[registry]`: where the schemas of readings are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gridwatch_connectors::registry::{Credentials, Settings, check_url};

use super::secret;
use super::section::Section;

/// The section, checked. Secrets stay in their files until somebody connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    pub url: String,
    pub secret: Secret,
    /// For one request.
    pub timeout: Duration,
    pub unknown_schema: UnknownSchema,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    None,
    Password { user: String, file: PathBuf },
    Token { file: PathBuf },
}

/// What becomes of a record whose schema's id the registry does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownSchema {
    DeadLetter,
    Halt,
}

pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Nothing that goes into an HTTP header is longer.
const SECRET_BYTES_MAX: u64 = 16 << 10;

impl Registry {
    /// Without a file: all but the URL as usual.
    pub fn at(url: &str) -> Registry {
        Registry {
            url: url.to_owned(),
            secret: Secret::None,
            timeout: TIMEOUT,
            unknown_schema: UnknownSchema::DeadLetter,
        }
    }

    /// What connects, with the secret read from its file. An error names the file and never its content.
    pub fn settings(&self) -> Result<Settings, String> {
        let secret = |file: &Path| secret::in_file(file, SECRET_BYTES_MAX);
        let credentials = match &self.secret {
            Secret::None => None,
            Secret::Password { user, file } => {
                Some(Credentials::Basic { user: user.clone(), password: secret(file)? })
            }
            Secret::Token { file } => Some(Credentials::Token(secret(file)?)),
        };
        Ok(Settings { url: self.url.clone(), credentials, timeout: self.timeout })
    }
}

/// `None` where the table is absent or too wrong to be used; the latter is noted.
pub fn read(mut section: Section<'_, '_>) -> Option<Registry> {
    if !section.is_present() {
        return None;
    }
    let url = section.string("url");
    match &url {
        Some(url) => {
            if let Err(what) = check_url(&url.value) {
                section.document().mistake(url.offset, format!("url: {what}"));
            }
        }
        None if section.written("url").is_none() => section.document().mistake(
            section.offset(),
            "url is missing in [registry]: write for example \"http://127.0.0.1:8080\"",
        ),
        None => {}
    }
    let secret = read_secret(&mut section);
    let timeout = section.duration("timeout", Duration::from_millis(10)..=Duration::from_secs(60));
    let unknown_schema = section.choice(
        "unknown_schema",
        &[("dead-letter", UnknownSchema::DeadLetter), ("halt", UnknownSchema::Halt)],
    );
    section.close();
    Some(Registry {
        url: url?.value,
        secret,
        timeout: timeout.unwrap_or(TIMEOUT),
        unknown_schema: unknown_schema.map_or(UnknownSchema::DeadLetter, |at| at.value),
    })
}

fn read_secret(section: &mut Section<'_, '_>) -> Secret {
    let user = section.string("user");
    let password = section.file("password_file").map(|at| (at.value, at.offset));
    let token = section.file("token_file").map(|at| (at.value, at.offset));
    let mistake = |offset, what: &str| section.document().mistake(offset, what);
    match (user, password, token) {
        (None, None, None) => Secret::None,
        (None, None, Some((file, _))) => Secret::Token { file },
        (Some(user), Some((file, _)), None) => Secret::Password { user: user.value, file },
        (Some(user), None, None) => {
            mistake(user.offset, "user: password_file is missing: name the file that holds the password");
            Secret::None
        }
        (None, Some((_, offset)), None) => {
            mistake(offset, "password_file: user is missing: say whose password it is");
            Secret::None
        }
        (_, _, Some((_, offset))) => {
            mistake(offset, "token_file: user and password_file are given, too; keep one of both");
            Secret::None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use expect_test::expect;

    use super::*;
    use crate::config;

    #[test]
    fn a_registry_is_read_and_its_secret_only_on_connecting() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gridwatch.toml");
        std::fs::write(folder.path().join("secret"), "s3cret\r\n").unwrap();
        let read = |text: &str| config::read(&file, text).unwrap().registry;
        assert_eq!(read(""), None);
        let url = "https://registry.example/apis/ccompat/v7";
        assert_eq!(read(&format!("[registry]\nurl = \"{url}\"")), Some(Registry::at(url)));
        let registry = read(&format!(
            "[registry]\nurl = \"{url}\"\nuser = \"grid\"\npassword_file = \"secret\"\ntimeout = \"250ms\"\n\
             unknown_schema = \"halt\"\n"
        ))
        .unwrap();
        assert_eq!(registry.unknown_schema, UnknownSchema::Halt);
        let credentials = Some(Credentials::Basic { user: "grid".into(), password: "s3cret".into() });
        let timeout = Duration::from_millis(250);
        assert_eq!(registry.settings().unwrap(), Settings { url: url.into(), credentials, timeout });
        assert!(!format!("{registry:?}").contains("s3cret"));

        let token = read(&format!("[registry]\nurl = \"{url}\"\ntoken_file = \"secret\"")).unwrap();
        assert_eq!(token.settings().unwrap().credentials, Some(Credentials::Token("s3cret".into())));
        for (content, word) in [(String::from("\n"), "is empty"), ("x".repeat(20_000), "more than 16384")] {
            std::fs::write(folder.path().join("secret"), content).unwrap();
            let error = token.settings().unwrap_err();
            assert!(error.contains(word) && error.contains("secret: "), "{error}");
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let check = |text: &str, golden: expect_test::Expect| {
            let mistakes = config::read(Path::new("g.toml"), text).unwrap_err();
            golden.assert_eq(&mistakes.to_string());
        };
        check(
            "[registry]\n",
            expect![[
                r#"g.toml:1:1: url is missing in [registry]: write for example "http://127.0.0.1:8080""#
            ]],
        );
        check(
            "[registry]\nurl = \"registry:8080\"\nuser = \"a\"\ntimeout = \"1h\"\nunknown_shema = \"skip\"\n",
            expect![[r#"
                g.toml:2:7: url: "registry:8080" is no URL with http or https
                g.toml:3:8: user: password_file is missing: name the file that holds the password
                g.toml:4:11: timeout: out of range; from 10ms to 1m
                g.toml:5:1: unknown key "unknown_shema" in [registry]; did you mean "unknown_schema"?"#]],
        );
        check(
            "[registry]\nurl = \"http://a:b@c\"\npassword_file = \"nowhere\"\nunknown_schema = \"skip\"\n",
            expect![[r#"
                g.toml:2:7: url: the URL holds a user or a password; give them apart from it
                g.toml:3:17: password_file: nowhere: no such file
                g.toml:3:17: password_file: user is missing: say whose password it is
                g.toml:4:18: unknown_schema: "skip" is not known; known: "dead-letter", "halt""#]],
        );
        check(
            "[registry]\nurl = 8080\nuser = \"a\"\npassword_file = \"no\"\ntoken_file = \"where\"\n",
            expect![[r#"
                g.toml:2:7: url: should be a string, is a whole number
                g.toml:4:17: password_file: no: no such file
                g.toml:5:14: token_file: where: no such file
                g.toml:5:14: token_file: user and password_file are given, too; keep one of both"#]],
        );
    }
}
