//! `sasl.*`: the mechanism, and what proves who we are.

use std::time::Duration;

use super::super::ConfigError;
use super::super::take::{Take, conflict, invalid};
use super::Secret;
use super::jaas::{self, LoginModule};
use crate::client::properties::HIDDEN;

/// `sasl.*` of a client.
#[derive(Clone, Debug)]
pub struct SaslSettings {
    /// `sasl.mechanism`.
    pub mechanism: Mechanism,
    /// What proves who we are.
    pub login: SaslLogin,
}

/// `sasl.mechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// PLAIN: name and password as they are.
    Plain,
    /// SCRAM-SHA-256.
    ScramSha256,
    /// SCRAM-SHA-512.
    ScramSha512,
    /// OAUTHBEARER: a token.
    OauthBearer,
}

impl Mechanism {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// What a client proves who it is with.
#[derive(Clone, Debug)]
pub enum SaslLogin {
    /// PLAIN and SCRAM.
    Password {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// OAUTHBEARER.
    Token {
        /// Where the token comes from.
        source: TokenSource,
        /// SASL extensions (KIP-342).
        extensions: Vec<(String, String)>,
        /// `sasl.login.refresh.window.factor`: a new token is fetched after this part of the old one's life.
        refresh_factor: f64,
    },
}

/// Where a token comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenSource {
    /// A token that nobody signed, for tests (OAuthBearerUnsecuredLoginCallbackHandler).
    Unsecured {
        /// Claims as JSON.
        claims: serde_json::Map<String, serde_json::Value>,
        /// `unsecuredLoginLifetimeSeconds`.
        lifetime: Duration,
    },
    /// A file with a token, read again when a new one is due (`sasl.oauthbearer.token.endpoint.url=file:...`).
    File(String),
    /// The client credentials grant of an OAuth 2 server.
    ClientCredentials {
        /// `sasl.oauthbearer.token.endpoint.url`.
        url: String,
        /// The client's id.
        id: String,
        /// The client's secret.
        secret: Secret,
        /// The scope, where one is asked for.
        scope: Option<String>,
        /// `sasl.oauthbearer.header.urlencode`.
        urlencode: bool,
        /// `sasl.login.connect.timeout.ms`.
        connect_timeout: Duration,
        /// `sasl.login.read.timeout.ms`.
        read_timeout: Duration,
    },
}

const OAUTH: &str = "org.apache.kafka.common.security.oauthbearer.";
const HANDLER: &str = "sasl.login.callback.handler.class";
const ENDPOINT: &str = "sasl.oauthbearer.token.endpoint.url";
const JAAS: &str = "sasl.jaas.config";

/// What Kafka's login callback handlers do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Handler {
    Unsecured,
    Secured,
}

impl Take<'_> {
    pub(super) fn sasl(&mut self) -> Result<SaslSettings, ConfigError> {
        let mechanism = self.mechanism()?;
        self.java_logins()?;
        let module = self.jaas()?;
        let login = match mechanism {
            Mechanism::OauthBearer => self.token(&module)?,
            _ => self.password(&module)?,
        };
        Ok(SaslSettings { mechanism, login })
    }

    fn mechanism(&mut self) -> Result<Mechanism, ConfigError> {
        let name = "sasl.mechanism";
        match self.text(name).unwrap_or("GSSAPI") {
            "PLAIN" => Ok(Mechanism::Plain),
            "SCRAM-SHA-256" => Ok(Mechanism::ScramSha256),
            "SCRAM-SHA-512" => Ok(Mechanism::ScramSha512),
            "OAUTHBEARER" => Ok(Mechanism::OauthBearer),
            value @ "GSSAPI" => {
                let instead = "Kerberos (the default of sasl.mechanism) is not built in; set PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
                Err(ConfigError::NotSupported { name, value: value.to_owned(), instead })
            }
            value => {
                let reason = "this client has PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER";
                Err(invalid(name, value, reason.into()))
            }
        }
    }

    /// Classes that a JVM would load.
    fn java_logins(&mut self) -> Result<(), ConfigError> {
        let instead = "no class can be loaded here; leave it out";
        self.only("sasl.login.class", &[], instead)?;
        self.only("sasl.client.callback.handler.class", &[], instead)
    }

    fn jaas(&mut self) -> Result<LoginModule, ConfigError> {
        let line = self.text(JAAS).filter(|line| !line.is_empty());
        let Some(line) = line else {
            return conflict(
                "Could not find a 'KafkaClient' entry in the JAAS configuration: set sasl.jaas.config (a file named by java.security.auth.login.config is not read)",
            );
        };
        jaas::parse(line).map_err(|reason| invalid(JAAS, HIDDEN, reason))
    }

    /// PLAIN and SCRAM take name and password from either module, as the Java client does.
    fn password(&mut self, module: &LoginModule) -> Result<SaslLogin, ConfigError> {
        self.only(HANDLER, &[], "no class can be loaded here; put username and password into sasl.jaas.config")?;
        let known = [
            "org.apache.kafka.common.security.plain.PlainLoginModule",
            "org.apache.kafka.common.security.scram.ScramLoginModule",
        ];
        if !known.contains(&module.class.as_str()) {
            return Err(bad_module(module, &known.join(" or ")));
        }
        let taken = module.options.iter().find(|(key, _)| !["username", "password"].contains(&key.as_str()));
        match taken {
            Some((key, value)) if key != "tokenauth" || value.eq_ignore_ascii_case("true") => {
                let reason = format!("the option {key} is not supported; username and password are");
                return Err(invalid(JAAS, HIDDEN, reason));
            }
            _ => {}
        }
        let need = |key: &str| {
            let reason = format!("{} needs the option {key}=\"...\"", module.short_class());
            module.option(key).ok_or_else(|| invalid(JAAS, HIDDEN, reason))
        };
        Ok(SaslLogin::Password { username: need("username")?.to_owned(), password: Secret::from(need("password")?) })
    }

    fn token(&mut self, module: &LoginModule) -> Result<SaslLogin, ConfigError> {
        let known = format!("{OAUTH}OAuthBearerLoginModule");
        if module.class != known {
            return Err(bad_module(module, &known));
        }
        let refresh_factor = self.refresh_factor()?;
        let handler = self.handler()?;
        let endpoint = self.text(ENDPOINT).filter(|url| !url.is_empty());
        let source = match (handler, endpoint) {
            (Handler::Unsecured, None) => unsecured(module)?,
            (Handler::Unsecured, Some(_)) => {
                let reason = format!("it has an effect only with {HANDLER}={OAUTH}OAuthBearerLoginCallbackHandler");
                return Err(invalid(ENDPOINT, endpoint.unwrap_or_default(), reason));
            }
            (Handler::Secured, None) => return Err(ConfigError::Missing(ENDPOINT)),
            (Handler::Secured, Some(url)) => self.endpoint(url, module)?,
        };
        let prefix = if handler == Handler::Unsecured { "unsecuredLoginExtension_" } else { "extension_" };
        Ok(SaslLogin::Token { source, extensions: extensions(module, prefix)?, refresh_factor })
    }

    fn handler(&mut self) -> Result<Handler, ConfigError> {
        let value = self.text(HANDLER).unwrap_or_default();
        match value.strip_prefix(OAUTH) {
            None if value.is_empty() => Ok(Handler::Unsecured),
            Some("internals.unsecured.OAuthBearerUnsecuredLoginCallbackHandler") => Ok(Handler::Unsecured),
            // The second name is that of Kafka 3.1 to 3.9.
            Some("OAuthBearerLoginCallbackHandler" | "secured.OAuthBearerLoginCallbackHandler") => Ok(Handler::Secured),
            _ => Err(ConfigError::NotSupported {
                name: HANDLER,
                value: value.to_owned(),
                instead: "Kafka's own OAuthBearerLoginCallbackHandler and OAuthBearerUnsecuredLoginCallbackHandler are built in, no other class can be loaded",
            }),
        }
    }

    fn refresh_factor(&mut self) -> Result<f64, ConfigError> {
        let name = "sasl.login.refresh.window.factor";
        let Some(text) = self.text(name) else { return Ok(0.8) };
        let factor: f64 = text.parse().map_err(|_| invalid(name, text, "Not a number of type DOUBLE".into()))?;
        if (0.5..=1.0).contains(&factor) {
            return Ok(factor);
        }
        Err(invalid(name, text, "Value must be between 0.5 and 1.0".into()))
    }

    /// The properties of Kafka 4.1 and later come before the JAAS options of earlier ones, as in Kafka.
    fn endpoint(&mut self, url: &str, module: &LoginModule) -> Result<TokenSource, ConfigError> {
        let retrievers = ["DefaultJwtRetriever", "ClientCredentialsJwtRetriever"].map(|name| format!("{OAUTH}{name}"));
        self.only(
            "sasl.oauthbearer.jwt.retriever.class",
            &retrievers.each_ref().map(String::as_str),
            "the client credentials grant and token files are built in, no other class can be loaded",
        )?;
        if let Some(path) = url.strip_prefix("file:") {
            return Ok(TokenSource::File(format!("/{}", path.trim_start_matches('/'))));
        }
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(invalid(ENDPOINT, url, "it must begin with https:, http: or file:".into()));
        }
        let id = self.text("sasl.oauthbearer.client.credentials.client.id").or(module.option("clientId"));
        let secret = self.text("sasl.oauthbearer.client.credentials.client.secret").or(module.option("clientSecret"));
        let scope = self.text("sasl.oauthbearer.scope").or(module.option("scope"));
        check_options(module, &["clientId", "clientSecret", "scope"], "extension_")?;
        Ok(TokenSource::ClientCredentials {
            url: url.to_owned(),
            id: id.ok_or(ConfigError::Missing("sasl.oauthbearer.client.credentials.client.id"))?.to_owned(),
            secret: secret.ok_or(ConfigError::Missing("sasl.oauthbearer.client.credentials.client.secret"))?.into(),
            scope: scope.filter(|scope| !scope.is_empty()).map(str::to_owned),
            urlencode: self.bool("sasl.oauthbearer.header.urlencode", false)?,
            connect_timeout: self.int_millis("sasl.login.connect.timeout.ms", 10_000, 0)?,
            read_timeout: self.int_millis("sasl.login.read.timeout.ms", 10_000, 0)?,
        })
    }
}

fn bad_module(module: &LoginModule, wanted: &str) -> ConfigError {
    invalid(JAAS, HIDDEN, format!("the login module {} is not built in; this mechanism takes {wanted}", module.class))
}

fn check_options(module: &LoginModule, known: &[&str], prefix: &str) -> Result<(), ConfigError> {
    let mut keys = module.options.iter().map(|(key, _)| key.as_str());
    match keys.find(|key| !known.contains(key) && !key.starts_with(prefix)) {
        None => Ok(()),
        Some(key) => {
            let reason = format!("the option {key} is not supported; {} and {prefix}... are", known.join(", "));
            Err(invalid(JAAS, HIDDEN, reason))
        }
    }
}

/// OAuthBearerUnsecuredLoginCallbackHandler.handleTokenCallback.
fn unsecured(module: &LoginModule) -> Result<TokenSource, ConfigError> {
    const KNOWN: [&str; 3] =
        ["unsecuredLoginPrincipalClaimName", "unsecuredLoginLifetimeSeconds", "unsecuredLoginScopeClaimName"];
    let bad = |reason: String| invalid(JAAS, HIDDEN, reason);
    let mut claims = serde_json::Map::new();
    for (key, value) in &module.options {
        let (kind, claim) = match key.strip_prefix("unsecuredLogin").and_then(|rest| rest.split_once("Claim_")) {
            Some(both) => both,
            None if KNOWN.contains(&key.as_str()) || key.starts_with("unsecuredLoginExtension_") => continue,
            None => return Err(bad(format!("the option {key} is not supported for a token without a signature"))),
        };
        if ["iat", "exp"].contains(&claim) {
            return Err(bad(format!("Cannot explicitly set the '{claim}' claim")));
        }
        let json = match kind {
            "String" => serde_json::Value::from(value.as_str()),
            "Number" => {
                let number: f64 = value.parse().map_err(|_| bad(format!("{key} is not a number")))?;
                serde_json::Number::from_f64(number).ok_or_else(|| bad(format!("{key} is not a number")))?.into()
            }
            "List" => list_claim(value).into(),
            _ => return Err(bad(format!("the option {key} is not supported for a token without a signature"))),
        };
        claims.insert(claim.to_owned(), json);
    }
    let principal = module.option("unsecuredLoginPrincipalClaimName").unwrap_or("sub");
    if !claims.get(principal).is_some_and(serde_json::Value::is_string) {
        let needed = format!("a token without a signature needs unsecuredLoginStringClaim_{principal}=\"...\"");
        return Err(bad(needed));
    }
    let seconds = module.option("unsecuredLoginLifetimeSeconds").unwrap_or("3600");
    let seconds: u64 =
        seconds.parse().map_err(|_| bad("unsecuredLoginLifetimeSeconds is not a whole number".into()))?;
    Ok(TokenSource::Unsecured { claims, lifetime: Duration::from_secs(seconds) })
}

/// `|a|b|`: the first character parts the elements.
fn list_claim(value: &str) -> Vec<String> {
    let mut chars = value.chars();
    let Some(delimiter) = chars.next() else { return Vec::new() };
    let mut items: Vec<String> = chars.as_str().split(delimiter).map(str::to_owned).collect();
    // Java's split drops empty elements at the end.
    while items.last().is_some_and(String::is_empty) {
        items.pop();
    }
    items
}

/// SASL extensions (KIP-342) with the limits of OAuthBearerClientInitialResponse.
fn extensions(module: &LoginModule, prefix: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let mut extensions = Vec::new();
    for (key, value) in &module.options {
        let Some(name) = key.strip_prefix(prefix) else { continue };
        if name == "auth" {
            return Err(invalid(JAAS, HIDDEN, "Extension name auth is invalid".into()));
        }
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(invalid(JAAS, HIDDEN, format!("Extension name {name} is invalid")));
        }
        if value.is_empty() || !value.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n')) {
            return Err(invalid(JAAS, HIDDEN, format!("Extension value of {name} is invalid")));
        }
        extensions.push((name.to_owned(), value.clone()));
    }
    Ok(extensions)
}
