//! What both clients have: servers, timeouts, backoffs, sockets.

use std::sync::LazyLock;
use std::time::Duration;

use regex::Regex;

use super::ConfigError;
use super::security::SecurityConfig;
use super::take::{Take, conflict};

/// What both clients have.
#[derive(Clone, Debug)]
pub struct CommonConfig {
    /// `host:port` of each server of `bootstrap.servers`.
    pub bootstrap_servers: Vec<(String, u16)>,
    /// `client.id`.
    pub client_id: String,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `retry.backoff.ms` and `retry.backoff.max.ms`.
    pub retry_backoff: Backoff,
    /// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
    pub reconnect_backoff: Backoff,
    /// `metadata.max.age.ms`.
    pub metadata_max_age: Duration,
    /// `send.buffer.bytes`; `None` leaves the kernel's (-1).
    pub send_buffer_bytes: Option<usize>,
    /// `receive.buffer.bytes`; `None` leaves the kernel's (-1).
    pub receive_buffer_bytes: Option<usize>,
    /// `allow.auto.create.topics` (a producer always allows it).
    pub allow_auto_create_topics: bool,
    /// `security.protocol` with `ssl.*` and `sasl.*`.
    pub security: SecurityConfig,
}

/// What the Java clients say where `bootstrap.servers` names nobody, or nobody whose name resolves.
pub(crate) const NO_BOOTSTRAP_URLS: &str = "No resolvable bootstrap urls given in bootstrap.servers";
/// How far a pause strays from its exact length, as a share of it (CommonClientConfigs.RETRY_BACKOFF_JITTER).
const JITTER: f64 = 0.2;

/// A pause that doubles from `first` to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub max: Duration,
}

impl Backoff {
    /// The pause before attempt `attempts + 1`, without jitter.
    #[must_use]
    pub fn after(&self, attempts: u32) -> Duration {
        self.first.saturating_mul(1u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(self.max.max(self.first))
    }

    /// The same up to a fifth shorter or longer, never above the maximum (ExponentialBackoff with RETRY_BACKOFF_JITTER
    /// 0.2). `fraction` is a random number from 0 to 1.
    #[must_use]
    pub fn jittered(&self, attempts: u32, fraction: f64) -> Duration {
        let factor = 1.0 + JITTER * (2.0 * fraction.clamp(0.0, 1.0) - 1.0);
        self.after(attempts).mul_f64(factor).min(self.max.max(self.first))
    }
}

impl<'a> Take<'a> {
    pub(super) fn common(&mut self, client_id: &'a str, send: i64, receive: i64) -> Result<CommonConfig, ConfigError> {
        self.refuse(
            "config.providers",
            "nothing is looked up in other places: a value like ${file:..} would be taken as it is written; write the \
             values themselves",
        )?;
        self.dns_lookup()?;
        self.no_interceptors()?;
        Ok(CommonConfig {
            bootstrap_servers: self.bootstrap_servers()?,
            client_id: self.text("client.id").unwrap_or(client_id).to_owned(),
            request_timeout: self.int_millis("request.timeout.ms", 30_000, 0)?,
            retry_backoff: Backoff {
                first: self.millis("retry.backoff.ms", 100)?,
                max: self.millis("retry.backoff.max.ms", 1000)?,
            },
            reconnect_backoff: Backoff {
                first: self.millis("reconnect.backoff.ms", 50)?,
                max: self.millis("reconnect.backoff.max.ms", 1000)?,
            },
            metadata_max_age: self.millis("metadata.max.age.ms", 300_000)?,
            send_buffer_bytes: self.socket_buffer("send.buffer.bytes", send)?,
            receive_buffer_bytes: self.socket_buffer("receive.buffer.bytes", receive)?,
            allow_auto_create_topics: self.bool("allow.auto.create.topics", true)?,
            security: self.security()?,
        })
    }

    fn socket_buffer(&mut self, name: &'static str, default: i64) -> Result<Option<usize>, ConfigError> {
        Ok(usize::try_from(self.i64(name, default, -1, i64::from(i32::MAX))?).ok())
    }

    /// The first half of ClientUtils.parseAndValidateAddresses; names are resolved when the client is made.
    fn bootstrap_servers(&mut self) -> Result<Vec<(String, u16)>, ConfigError> {
        let name = "bootstrap.servers";
        let text = self.text(name).ok_or(ConfigError::Missing(name))?;
        let urls = text.split(',').map(str::trim).filter(|url| !url.is_empty());
        let servers: Vec<(String, u16)> = urls.map(host_port).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return conflict(NO_BOOTSTRAP_URLS);
        }
        Ok(servers)
    }

    /// How a name with several addresses is tried. What is not the default has no effect here, and is told with all that has none.
    fn dns_lookup(&mut self) -> Result<(), ConfigError> {
        let (name, default) = ("client.dns.lookup", "use_all_dns_ips");
        let of = [default, "resolve_canonical_bootstrap_servers_only"];
        match self.properties.get(name).map(str::trim) {
            Some(canonical) if canonical == of[1] => Ok(()),
            _ => self.choice(name, default, &of).map(drop),
        }
    }

    /// Java loads these classes; there are none here.
    fn no_interceptors(&mut self) -> Result<(), ConfigError> {
        let classes = self.text("interceptor.classes").unwrap_or_default();
        let first = classes.split(',').map(str::trim).find(|it| !it.is_empty());
        first.map_or(Ok(()), |class| conflict(&format!("Class {class} cannot be found")))
    }
}

/// Utils.HOST_PORT_PATTERN.
static HOST_PORT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:[0-9a-zA-Z\-%._]*://)?\[?([0-9a-zA-Z\-%._:]*)]?:([0-9]+)$").expect("a constant expression")
});

/// `[PROTOCOL://]host:port`, the host in brackets where it is an IPv6 address. Without a host it is this machine.
fn host_port(url: &str) -> Result<(String, u16), ConfigError> {
    let invalid = |what: &str| ConfigError::Conflict(format!("Invalid {what} in bootstrap.servers: {url}"));
    let parts = HOST_PORT.captures(url).ok_or_else(|| invalid("url"))?;
    let port = parts[2].parse().map_err(|_| invalid("port"))?;
    let host = if parts[1].is_empty() { "localhost" } else { &parts[1] };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_of_settings_are_refused_and_no_literal_goes_to_a_broker() {
        let mut properties = super::super::super::properties::Properties::new();
        properties.set("bootstrap.servers", "h:1");
        properties.set("config.providers", "file");
        properties.set("sasl.jaas.config", "${file:/etc/secrets:jaas}");
        let refusal = super::super::ProducerConfig::parse(&properties).err().map(|error| error.to_string());
        let refusal = refusal.unwrap_or_default();
        assert!(
            refusal.starts_with("config.providers=file is not supported by this build yet: nothing is"),
            "{refusal}"
        );
        assert!(super::super::ConsumerConfig::parse(&properties).is_err());
    }

    #[test]
    fn addresses_are_taken_and_refused_as_kafka_s_utils_do() {
        let of = |url| host_port(url).map_err(|error| error.to_string());
        for (url, host, port) in [
            (":9092", "localhost", 9092),
            ("PLAINTEXT://:9092", "localhost", 9092),
            ("PLAINTEXT://a-b_c.d:1", "a-b_c.d", 1),
            ("my.protocol://h:1", "h", 1),
            ("[::1]:9092", "::1", 9092),
            ("::1:9092", "::1", 9092),
            ("SSL://[fe80::1%eth0]:65535", "fe80::1%eth0", 65535),
        ] {
            assert_eq!(of(url), Ok((host.to_owned(), port)), "{url}");
        }
        for url in ["h", "h:", "h:x", "h h:1", "http://h:1/", "a/b:1", "h:1 ", "h:-1"] {
            assert_eq!(of(url), Err(format!("Invalid url in bootstrap.servers: {url}")));
        }
        for url in ["h:65536", "h:99999999999"] {
            assert_eq!(of(url), Err(format!("Invalid port in bootstrap.servers: {url}")));
        }
    }
}
