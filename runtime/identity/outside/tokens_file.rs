//! `TokensFile`: the file of `auth.tokens`: issuers whose tokens are accepted, shared tokens, and those of machines.
//!
//! Reads and checks, and makes nothing of it. An error names the file and the place, and repeats no line: lines have secrets.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use serde::Deserialize;

use super::claims::ClaimRules;
use super::fetch::secure;
use super::hidden::HiddenText;
use super::keys::{TokenAlgorithm, VerifyingKey};
use super::remote_keys::KeysOrigin;
use crate::auth::{GUEST_PREFIX, SERVICE_PREFIX};
use crate::config::{AuthConfig, Registration};
use crate::identity::access_tokens::{AT_ONCE, check_grant, check_name};
use crate::identity::entries::TokenGrant;

/// Why the file is no good. The text is for the person who starts the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub(crate) struct TokensFileError {
    path: PathBuf,
    fault: String,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct TokensFile {
    pub(crate) issuers: Vec<IssuerSettings>,
    pub(crate) tokens: Vec<ConfiguredToken>,
    /// Secrets that can be guessed, each with its place.
    pub(crate) weak: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct IssuerSettings {
    /// Of the table: `[issuers.NAME]`.
    pub(crate) name: String,
    pub(crate) rules: ClaimRules,
    pub(crate) algorithm: TokenAlgorithm,
    pub(crate) keys: KeysSettings,
    pub(crate) login: Option<LoginSettings>,
}

pub(crate) enum KeysSettings {
    Fixed(Vec<VerifyingKey>),
    Changing(KeysOrigin),
}

impl std::fmt::Debug for KeysSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeysSettings")
    }
}

/// Logging in at the issuer.
#[derive(Debug, Clone)]
pub(crate) struct LoginSettings {
    /// As the button says it.
    pub(crate) title: String,
    pub(crate) client_id: String,
    /// None for a client that has none, which PKCE alone protects.
    pub(crate) client_secret: Option<HiddenText>,
    pub(crate) scopes: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct ConfiguredToken {
    pub(crate) name: String,
    pub(crate) grant: TokenGrant,
    pub(crate) secrets: Vec<HiddenText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    issuers: IndexMap<String, RawIssuer>,
    #[serde(default)]
    shared: IndexMap<String, RawShared>,
    #[serde(default)]
    services: IndexMap<String, RawService>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawIssuer {
    issuer: String,
    #[serde(default)]
    audience: Vec<String>,
    algorithm: Option<TokenAlgorithm>,
    #[serde(default)]
    secrets: Vec<HiddenText>,
    #[serde(default)]
    secret_files: Vec<PathBuf>,
    #[serde(default)]
    key_files: Vec<PathBuf>,
    jwks_file: Option<PathBuf>,
    jwks_url: Option<String>,
    prefix: Option<String>,
    role_claim: Option<String>,
    name_claim: Option<String>,
    leeway_seconds: Option<u64>,
    login: Option<RawLogin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLogin {
    title: Option<String>,
    client_id: String,
    client_secret: Option<HiddenText>,
    client_secret_file: Option<PathBuf>,
    scopes: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawShared {
    #[serde(default)]
    secrets: Vec<HiddenText>,
    #[serde(default)]
    secret_files: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawService {
    role: Option<String>,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    secrets: Vec<HiddenText>,
    #[serde(default)]
    secret_files: Vec<PathBuf>,
}

/// Seconds by which two clocks may differ.
const LEEWAY: u64 = 30;
const MOST_LEEWAY: u64 = 300;
/// Bytes of a key file or a secret file.
const LARGEST: u64 = 64 << 10;

impl TokensFile {
    /// Reads the file of the settings, if they name one. Blocks for the disk.
    pub(crate) fn load(config: &AuthConfig) -> Result<TokensFile, TokensFileError> {
        let Some(path) = &config.tokens else { return Ok(TokensFile::default()) };
        let fault = |fault| TokensFileError { path: path.clone(), fault };
        let text = read(path).map_err(fault)?;
        let raw: RawFile = toml::from_str(&text).map_err(|error| fault(placed(&error, &text)))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        TokensFile::of(raw, folder, config).map_err(fault)
    }

    fn of(raw: RawFile, folder: &Path, config: &AuthConfig) -> Result<TokensFile, String> {
        let mut file = TokensFile::default();
        for (name, raw) in raw.issuers {
            let place = format!("[issuers.{name}]");
            let issuer =
                file.issuer(&place, name, raw, folder).map_err(|fault| format!("{place} {fault}"))?;
            file.issuers.push(issuer);
        }
        for (name, raw) in raw.shared {
            file.token("shared", name, TokenGrant::Shared, raw.secrets, &raw.secret_files, folder)?;
        }
        for (name, raw) in raw.services {
            let grant = TokenGrant::Service { role: raw.role, publish: raw.publish };
            file.token("services", name, grant, raw.secrets, &raw.secret_files, folder)?;
        }
        file.check_prefixes(config)?;
        file.check_secrets()?;
        Ok(file)
    }

    fn issuer(
        &mut self,
        place: &str,
        name: String,
        raw: RawIssuer,
        folder: &Path,
    ) -> Result<IssuerSettings, String> {
        check_name(&name).map_err(|error| error.to_string())?;
        if raw.issuer.is_empty() {
            return Err(
                "must name the issuer as tokens do in `iss`: issuer = \"https://login.example\"".to_owned()
            );
        }
        let login = raw.login.map(|login| self.login(place, &name, login, folder)).transpose()?;
        if raw.audience.is_empty() && login.is_none() {
            return Err("must name its audience, which tokens have in `aud`: without it a token for another program would be accepted here. Write \
                 audience = [\"tidewire\"]".to_owned());
        }
        let leeway = raw.leeway_seconds.unwrap_or(LEEWAY);
        if leeway > MOST_LEEWAY {
            return Err(format!("has a leeway_seconds of {leeway}; at most {MOST_LEEWAY} are taken"));
        }
        let secrets = secrets(raw.secrets, &raw.secret_files, folder)?;
        let algorithm = match (raw.algorithm, secrets.is_empty()) {
            (Some(algorithm), true) if algorithm != TokenAlgorithm::HS256 => algorithm,
            (None, true) => TokenAlgorithm::RS256,
            (None | Some(TokenAlgorithm::HS256), false) => TokenAlgorithm::HS256,
            (Some(_), true) => {
                return Err("has the algorithm HS256 and no secret: write secret_files = [\"acme.secret\"]"
                    .to_owned());
            }
            (Some(algorithm), false) => {
                return Err(format!(
                    "has a secret, which is for HS256, and the algorithm {}: a public key would do as a secret. \
                     Name key_files, jwks_file or jwks_url instead",
                    algorithm.word()
                ));
            }
        };
        if secrets.len() > AT_ONCE {
            return Err("has more than two secrets; two are enough to replace one by the other".to_owned());
        }
        for secret in &secrets {
            self.weigh(&format!("{place} a secret"), secret);
        }
        let given = usize::from(!secrets.is_empty())
            + usize::from(!raw.key_files.is_empty())
            + usize::from(raw.jwks_file.is_some())
            + usize::from(raw.jwks_url.is_some());
        if given > 1 {
            return Err(
                "names its keys in several ways: keep one of secrets, key_files, jwks_file and jwks_url"
                    .to_owned(),
            );
        }
        if login.is_some() && given > 0 {
            return Err("has a login, for which the issuer itself says where its keys are: take \
                 secrets, key_files, jwks_file and jwks_url out"
                .to_owned());
        }
        let keys = if !secrets.is_empty() {
            KeysSettings::Fixed(secrets.iter().map(VerifyingKey::of_secret).collect())
        } else if !raw.key_files.is_empty() {
            let mut keys = Vec::new();
            for path in &raw.key_files {
                let path = folder.join(path);
                let key = read(&path).and_then(|pem| VerifyingKey::of_pem(algorithm, &pem));
                keys.push(key.map_err(|fault| format!("has the key file {}: {fault}", path.display()))?);
            }
            KeysSettings::Fixed(keys)
        } else if let Some(path) = raw.jwks_file {
            let path = folder.join(path);
            let set = read(&path).and_then(|text| VerifyingKey::of_set(algorithm, &text));
            set.map_err(|fault| format!("has the key set {}: {fault}", path.display()))?;
            KeysSettings::Changing(KeysOrigin::File(path))
        } else if let Some(url) = raw.jwks_url {
            secure(&url).map_err(|fault| format!("has a jwks_url that cannot be used: {fault}"))?;
            KeysSettings::Changing(KeysOrigin::Url(url))
        } else {
            secure(&raw.issuer)
                .map_err(|fault| format!("names no keys, and cannot be asked for them: {fault}"))?;
            KeysSettings::Changing(KeysOrigin::Discovery(raw.issuer.clone()))
        };
        let prefix = raw.prefix.unwrap_or_else(|| name.clone());
        let rules = ClaimRules {
            issuer: raw.issuer,
            audience: raw.audience,
            leeway: Duration::from_secs(leeway),
            prefix,
            role: raw.role_claim,
            name: raw.name_claim.unwrap_or_else(|| "name".to_owned()),
        };
        Ok(IssuerSettings { name, rules, algorithm, keys, login })
    }

    fn login(
        &mut self,
        place: &str,
        name: &str,
        raw: RawLogin,
        folder: &Path,
    ) -> Result<LoginSettings, String> {
        let files: Vec<PathBuf> = raw.client_secret_file.into_iter().collect();
        let mut found = secrets(raw.client_secret.into_iter().collect(), &files, folder)?;
        if found.len() > 1 {
            return Err("names two client secrets: keep client_secret or client_secret_file".to_owned());
        }
        let client_secret = found.pop();
        // The issuer chose it, so only what examples come with is weak.
        if let Some(secret) = &client_secret
            && secret.text().len() >= 32
        {
            self.weigh(&format!("{place} client_secret"), secret);
        }
        let mut scopes = raw.scopes.unwrap_or_else(|| vec!["profile".to_owned()]);
        if !scopes.iter().any(|scope| scope == "openid") {
            scopes.insert(0, "openid".to_owned());
        }
        Ok(LoginSettings {
            title: raw.title.unwrap_or_else(|| name.to_owned()),
            client_id: raw.client_id,
            client_secret,
            scopes,
        })
    }

    fn token(
        &mut self,
        kind: &str,
        name: String,
        grant: TokenGrant,
        given: Vec<HiddenText>,
        files: &[PathBuf],
        folder: &Path,
    ) -> Result<(), String> {
        let place = format!("[{kind}.{name}]");
        let told = |fault: String| format!("{place} {fault}");
        check_name(&name).and_then(|()| check_grant(&grant)).map_err(|error| told(error.to_string()))?;
        if self.tokens.iter().any(|other| other.name == name) {
            return Err(told(
                "has the name of another token: a shared token and a service are never the same".to_owned(),
            ));
        }
        let secrets = secrets(given, files, folder).map_err(told)?;
        if !(1..=AT_ONCE).contains(&secrets.len()) {
            return Err(told(format!(
                "has {} secrets: write one, or two while one replaces the other, as secret_files = [\"{name}.secret\"]",
                secrets.len()
            )));
        }
        for secret in &secrets {
            self.weigh(&format!("{place} a secret"), secret);
        }
        self.tokens.push(ConfiguredToken { name, grant, secrets });
        Ok(())
    }

    fn weigh(&mut self, place: &str, secret: &HiddenText) {
        if let Some(weakness) = secret.weakness() {
            self.weak.push(format!("{place} {weakness}"));
        }
    }

    /// An id belongs to one source for ever (SEMANTICS Y1).
    fn check_prefixes(&self, config: &AuthConfig) -> Result<(), String> {
        for (place, one) in self.issuers.iter().enumerate() {
            let (name, rules) = (&one.name, &one.rules);
            let reserved = [GUEST_PREFIX, SERVICE_PREFIX].contains(&format!("{}:", rules.prefix).as_str());
            if reserved || rules.prefix.chars().any(|letter| letter == ':' || letter.is_control()) {
                return Err(format!(
                    "[issuers.{name}] has the prefix `{}`, which is reserved or has a colon",
                    rules.prefix
                ));
            }
            for other in &self.issuers[..place] {
                if other.rules.issuer == rules.issuer {
                    return Err(format!("[issuers.{name}] and [issuers.{}] have one `issuer`", other.name));
                }
                if other.rules.prefix == rules.prefix {
                    return Err(format!(
                        "[issuers.{name}] and [issuers.{}] have one prefix, so their users would be the same: give each its own",
                        other.name
                    ));
                }
            }
        }
        let bare = self.issuers.iter().find(|issuer| issuer.rules.prefix.is_empty());
        match bare {
            Some(bare) if config.register != Registration::Off => Err(format!(
                "[issuers.{}] has no prefix, so its users could have ids of users who register here: set auth.register to \"off\", or \
                 give the issuer a prefix",
                bare.name
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// One secret for two things would be both.
    fn check_secrets(&self) -> Result<(), String> {
        let mut seen: Vec<&str> = Vec::new();
        for token in &self.tokens {
            for secret in &token.secrets {
                if seen.contains(&secret.text()) {
                    return Err(format!(
                        "a secret of `{}` stands twice in the file: each needs its own",
                        token.name
                    ));
                }
                seen.push(secret.text());
            }
        }
        Ok(())
    }
}

fn secrets(given: Vec<HiddenText>, files: &[PathBuf], folder: &Path) -> Result<Vec<HiddenText>, String> {
    let mut all = given;
    for path in files {
        let path = folder.join(path);
        let text = read(&path).map_err(|fault| format!("has the secret file {}: {fault}", path.display()))?;
        all.push(HiddenText::new(text.trim().to_owned()));
    }
    match all.iter().any(|secret| secret.text().is_empty()) {
        true => Err("has an empty secret".to_owned()),
        false => Ok(all),
    }
}

fn read(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("it cannot be read: {error}");
    if std::fs::metadata(path).map_err(told)?.len() > LARGEST {
        return Err(format!("it has more than {LARGEST} bytes"));
    }
    std::fs::read_to_string(path).map_err(told)
}

/// The line and what is wrong there, without the line's text.
fn placed(error: &toml::de::Error, text: &str) -> String {
    let at = error.span().map_or(0, |span| span.start).min(text.len());
    let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    format!("line {line}: {}", error.message().trim())
}
