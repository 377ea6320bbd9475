//! OAUTHBEARER (RFC 7628): where a token comes from, and how it is shown.
//!
//! Fetching waits for the token endpoint, at most for `sasl.login.connect.timeout.ms` and `sasl.login.read.timeout.ms`:
//! once when a client is opened, and again when a connection is made after most of the token's life is over.
//! Source: OAuthBearerClientInitialResponse, OAuthBearerUnsecuredLoginCallbackHandler, HttpJwtRetriever.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use crate::client::config::security::{Secret, TokenSource};

/// Longer than any token that a broker takes (sasl.server.max.receive.size).
const TOKEN_BYTES_MAX: u64 = 512 << 10;

/// A token and how long it is good.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    /// As it is sent.
    pub(super) value: String,
    /// From then on a new one is wanted, since 1970.
    renew_at: Duration,
    /// From then on it is refused.
    expires_at: Duration,
}

impl Token {
    fn new(value: String, lifetime: Option<Duration>, factor: f64, now: Duration) -> Result<Self, String> {
        let value = value.trim().to_owned();
        // What it must not have: it ends a field of the message (RFC 6750 has no such characters in a token).
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the token is empty or has characters that no token has".into());
        }
        let lifetime = lifetime.unwrap_or(Duration::MAX);
        let renew_at = now.saturating_add(lifetime.checked_div(1000).unwrap_or_default() * thousandths(factor));
        Ok(Self { value, renew_at, expires_at: now.saturating_add(lifetime) })
    }

    pub(super) fn is_fresh(&self, now: Duration) -> bool {
        now < self.renew_at
    }

    pub(super) fn is_good(&self, now: Duration) -> bool {
        now < self.expires_at
    }
}

/// `sasl.login.refresh.window.factor`, 0.5 to 1, in thousandths.
fn thousandths(factor: f64) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0 to 1000")]
    let thousandths = (factor * 1000.0).clamp(0.0, 1000.0) as u32;
    thousandths
}

/// The client's first message: the token and the extensions.
pub(super) fn client_first(token: &str, extensions: &[(String, String)]) -> Vec<u8> {
    let pairs: String = extensions.iter().map(|(name, value)| format!("\u{1}{name}={value}")).collect();
    format!("n,,\u{1}auth=Bearer {token}{pairs}\u{1}\u{1}").into_bytes()
}

/// Gets a token. The error says where it should have come from.
pub(super) fn fetch(source: &TokenSource, factor: f64, now: Duration) -> Result<Token, String> {
    match source {
        TokenSource::Unsecured { claims, lifetime } => {
            Token::new(unsecured(claims, *lifetime, now), Some(*lifetime), factor, now)
        }
        TokenSource::File(path) => {
            let value = read(path).map_err(|error| format!("the token file {path} cannot be read: {error}"))?;
            let lifetime = lifetime_of(&value, now);
            Token::new(value, lifetime, factor, now).map_err(|error| format!("the token file {path}: {error}"))
        }
        TokenSource::ClientCredentials { url, .. } => {
            let answer = ask(source).map_err(|error| format!("the token endpoint {url}: {error}"))?;
            let (value, seconds) = token_in(&answer).map_err(|error| format!("the token endpoint {url}: {error}"))?;
            let lifetime = lifetime_of(&value, now).or(seconds.map(Duration::from_secs));
            Token::new(value, lifetime, factor, now).map_err(|error| format!("the token endpoint {url}: {error}"))
        }
    }
}

// The user names the file; it is no part of what is simulated.
#[expect(clippy::disallowed_methods, reason = "the token file is the user's, read when a client logs in")]
fn read(path: &str) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

/// A token that nobody signed.
fn unsecured(claims: &Map<String, Value>, lifetime: Duration, now: Duration) -> String {
    let mut all = claims.clone();
    all.insert("iat".into(), now.as_secs_f64().into());
    all.insert("exp".into(), now.saturating_add(lifetime).as_secs_f64().into());
    let part = |json: String| URL_SAFE_NO_PAD.encode(json);
    format!("{}.{}.", part("{\"alg\":\"none\"}".into()), part(Value::from(all).to_string()))
}

/// The rest of a token's life by its `exp`, where it has one.
fn lifetime_of(token: &str, now: Duration) -> Option<Duration> {
    let payload = URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let expires = Duration::try_from_secs_f64(claims.get("exp")?.as_f64()?).ok()?;
    Some(expires.saturating_sub(now))
}

/// The client credentials grant (RFC 6749, 4.4).
fn ask(source: &TokenSource) -> Result<String, String> {
    let TokenSource::ClientCredentials { url, id, secret, scope, urlencode, connect_timeout, read_timeout } = source
    else {
        return Err("no endpoint".into());
    };
    let agent = agent(url, *connect_timeout, *read_timeout);
    let mut form = vec![("grant_type", "client_credentials")];
    form.extend(scope.as_deref().map(|scope| ("scope", scope)));
    let mut response = agent
        .post(url)
        .header("Accept", "application/json")
        .header("Authorization", &basic(id, secret, *urlencode))
        .header("Cache-Control", "no-cache")
        .send_form(form)
        .map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response.body_mut().with_config().limit(TOKEN_BYTES_MAX).read_to_string();
    let body = body.map_err(|error| error.to_string())?;
    if status.is_success() {
        return Ok(body);
    }
    let said: String = body.chars().take(300).collect();
    Err(format!("it answered {status} to the client credentials of {id}: {said}"))
}

/// Asks over HTTP or HTTPS, with the system's roots. An answer that is an error is an answer.
pub(crate) fn agent(url: &str, connect: Duration, read: Duration) -> ureq::Agent {
    let mut tls = ureq::tls::TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    if url.starts_with("https:") {
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots = roots.iter().map(|root| ureq::tls::Certificate::from_der(root).to_owned());
        tls = tls.root_certs(ureq::tls::RootCerts::from(roots));
    }
    let config = ureq::Agent::config_builder()
        .tls_config(tls.build())
        .timeout_connect(Some(connect))
        .timeout_recv_response(Some(read))
        .timeout_recv_body(Some(read))
        .http_status_as_error(false)
        .build();
    config.into()
}

/// HTTP basic authentication; RFC 6749 wants id and secret encoded as forms are, Kafka does so when it is told to.
fn basic(id: &str, secret: &Secret, urlencode: bool) -> String {
    let encode = |text: &str| if urlencode { form_encoded(text) } else { text.to_owned() };
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret.expose()))))
}

/// As java.net.URLEncoder.
fn form_encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// `access_token` (or `id_token`) and `expires_in` of an answer.
fn token_in(body: &str) -> Result<(String, Option<u64>), String> {
    let answer: Value = serde_json::from_str(body).map_err(|error| format!("its answer is no JSON: {error}"))?;
    let token = ["access_token", "id_token"].iter().find_map(|name| answer.get(name)?.as_str());
    let token = token.ok_or("its answer has no access_token")?;
    Ok((token.to_owned(), answer.get("expires_in").and_then(Value::as_u64)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    #[test]
    fn the_first_message_is_that_of_rfc_7628() {
        let extensions = [("traceId".to_owned(), "1 2".to_owned())];
        assert_eq!(client_first("a.b.", &[]), b"n,,\x01auth=Bearer a.b.\x01\x01");
        assert_eq!(client_first("a.b.", &extensions), b"n,,\x01auth=Bearer a.b.\x01traceId=1 2\x01\x01");
    }

    #[test]
    fn an_unsecured_token_is_claims_between_dots() {
        let mut claims = Map::new();
        claims.insert("sub".into(), "alice".into());
        let token = unsecured(&claims, Duration::from_secs(60), NOW);
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!((parts.len(), parts[2]), (3, ""));
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        assert_eq!(claims, serde_json::json!({"sub": "alice", "iat": 1.7e9, "exp": 1.700_000_06e9}));
        assert_eq!(lifetime_of(&token, NOW), Some(Duration::from_secs(60)));
    }

    /// An endpoint that answers one request with this, and what it was asked.
    #[allow(clippy::disallowed_methods)]
    fn endpoint(status: &str, body: &str) -> (String, std::thread::JoinHandle<String>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut asked, mut piece) = (Vec::new(), [0; 1024]);
            while !String::from_utf8_lossy(&asked).contains("client_credentials") {
                let len = stream.read(&mut piece).unwrap();
                asked.extend_from_slice(&piece[..len]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (url, asked)
    }

    fn source(url: String) -> TokenSource {
        TokenSource::ClientCredentials {
            url,
            id: "id".into(),
            secret: Secret::from("s cret"),
            scope: Some("read".into()),
            urlencode: true,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
        }
    }

    #[test]
    fn client_credentials_become_a_token() {
        let (url, asked) = endpoint("200 OK", "{\"access_token\":\"abc\",\"expires_in\":100}");
        let token = fetch(&source(url), 0.8, NOW).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(token.value, "abc");
        assert!(token.is_fresh(NOW + Duration::from_secs(79)) && !token.is_fresh(NOW + Duration::from_secs(80)));
        assert!(token.is_good(NOW + Duration::from_secs(99)) && !token.is_good(NOW + Duration::from_secs(100)));
        let asked = asked.join().unwrap().to_lowercase();
        assert!(asked.contains("authorization: basic ") && asked.contains("grant_type=client_credentials&scope=read"));
        assert_eq!(basic("id", &Secret::from("s cret"), true), format!("Basic {}", STANDARD.encode("id:s+cret")));
    }

    #[test]
    fn an_endpoint_that_refuses_is_quoted() {
        let (url, _asked) = endpoint("401 Unauthorized", "{\"error\":\"invalid_client\"}");
        let error = fetch(&source(url.clone()), 0.8, NOW).err().unwrap();
        assert_eq!(
            error,
            format!(
                "the token endpoint {url}: it answered 401 Unauthorized to the client credentials of id: {{\"error\":\"invalid_client\"}}"
            )
        );
        let (url, _asked) = endpoint("200 OK", "{}");
        assert!(fetch(&source(url), 0.8, NOW).err().unwrap().contains("has no access_token"));
    }

    #[test]
    fn a_token_with_control_characters_never_goes_out() {
        assert!(Token::new("a\u{1}b".into(), None, 0.8, NOW).is_err());
        assert!(Token::new(" \n".into(), None, 0.8, NOW).is_err());
    }
}
