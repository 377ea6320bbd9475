//! Where metrics and health are served: `ringlog.metrics.listen`.
//!
//! ```text
//!   9404   :9404   localhost:9404       this host alone (127.0.0.1)
//!   0.0.0.0:9404   10.0.0.7:9404   [::]:9404
//! ```

use std::net::{Ipv4Addr, SocketAddr};

use super::SettingsError;
use super::values::Values;

const KEY: &str = "ringlog.metrics.listen";

/// The address, where one is given.
pub(super) fn read(values: &Values) -> Result<Option<SocketAddr>, SettingsError> {
    let Some(text) = values.text(KEY).map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    parse(text).map(Some).ok_or_else(|| {
        let why = "give a port, which is this host's alone (9404), or an address with one (0.0.0.0:9404, [::]:9404)";
        SettingsError::Unusable { key: KEY, value: text.to_owned(), why: why.to_owned() }
    })
}

fn parse(text: &str) -> Option<SocketAddr> {
    let local = |port: &str| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)));
    match text.strip_prefix("localhost:").or_else(|| text.strip_prefix(':')) {
        Some(port) => local(port),
        None if text.contains(':') => text.parse().ok(),
        None => local(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_this_hosts_alone_unless_an_address_is_given() {
        let shown = |text: &str| parse(text).map(|address| address.to_string());
        for text in ["9404", ":9404", "localhost:9404", "127.0.0.1:9404"] {
            assert_eq!(shown(text).as_deref(), Some("127.0.0.1:9404"), "{text}");
        }
        assert_eq!(shown("0.0.0.0:9404").as_deref(), Some("0.0.0.0:9404"));
        assert_eq!(shown("[::]:0").as_deref(), Some("[::]:0"));
        for text in ["", "http", "70000", "-1", "host.example:9404", "1.2.3:9", "0.0.0.0", "9404:"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
