//! `listeners` and `advertised.listeners`: one PLAINTEXT listener, whose port is shard 0's. Listeners that belong to a
//! KRaft controller are taken out: shard 0 is the controller and needs none.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use super::SettingsError;
use super::key::list_items;
use super::values::Values;

/// A listener: `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The listener's name.
    pub(crate) name: String,
    /// Host name or address, without brackets; empty for all addresses.
    pub(crate) host: String,
    /// The port of shard 0; 0 where any free one will do.
    pub(crate) port: u16,
}

/// Where to listen, and what clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listeners {
    pub(super) listen: Endpoint,
    pub(super) advertised: Option<Endpoint>,
}

impl Listeners {
    pub(super) fn read(values: &Values) -> Result<Self, SettingsError> {
        let listen =
            only(values, "listeners")?.ok_or_else(|| unusable("listeners", "", "it names no broker listener"))?;
        let advertised = only(values, "advertised.listeners")?;
        if let Some(told) = &advertised {
            check_advertised(told, &listen)?;
        }
        Ok(Self { listen, advertised })
    }
}

fn unusable(key: &'static str, value: &str, why: impl Into<String>) -> SettingsError {
    SettingsError::Unusable { key, value: value.to_owned(), why: why.into() }
}

/// The one listener of brokers in a list.
fn only(values: &Values, key: &'static str) -> Result<Option<Endpoint>, SettingsError> {
    let text = values.text(key).unwrap_or_default();
    let controllers: Vec<&str> = list_items(values.text("controller.listener.names").unwrap_or_default()).collect();
    let mut found = None;
    for item in list_items(text) {
        let endpoint = parse(item).ok_or_else(|| unusable(key, item, "NAME://host:port is expected"))?;
        if controllers.contains(&endpoint.name.as_str()) {
            continue;
        }
        check_protocol(values, key, item, &endpoint.name)?;
        if found.replace(endpoint).is_some() {
            return Err(unusable(key, text, "one listener is served, for now: leave the others out"));
        }
    }
    Ok(found)
}

fn check_protocol(values: &Values, key: &'static str, item: &str, name: &str) -> Result<(), SettingsError> {
    let map = values.text("listener.security.protocol.map").unwrap_or_default();
    let mapped = list_items(map).filter_map(|pair| pair.split_once(':')).find(|(listener, _)| *listener == name);
    match mapped.map_or(name, |(_, protocol)| protocol) {
        "PLAINTEXT" => Ok(()),
        "SSL" | "SASL_PLAINTEXT" | "SASL_SSL" => {
            Err(unusable(key, item, "only PLAINTEXT is served for now: use PLAINTEXT://host:port"))
        }
        _ => Err(unusable(key, item, format!("add {name}:PLAINTEXT to listener.security.protocol.map"))),
    }
}

fn parse(text: &str) -> Option<Endpoint> {
    let (name, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let port = port.parse().ok()?;
    (!name.is_empty()).then(|| Endpoint { name: name.to_owned(), host: host.to_owned(), port })
}

fn check_advertised(told: &Endpoint, listen: &Endpoint) -> Result<(), SettingsError> {
    let shown = format!("{}://{}:{}", told.name, told.host, told.port);
    if told.name != listen.name {
        return Err(unusable(
            "advertised.listeners",
            &shown,
            format!("listeners has no {}, but {}", told.name, listen.name),
        ));
    }
    if told.host.is_empty() || told.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
        let why = "clients cannot connect to that address: name one that they can reach";
        return Err(unusable("advertised.listeners", &shown, why));
    }
    Ok(())
}

impl Endpoint {
    /// The address to bind for this port. A host name is looked up.
    pub(super) fn address(&self, port: u16) -> Result<SocketAddr, SettingsError> {
        if self.host.is_empty() {
            return Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)));
        }
        let found = (self.host.as_str(), port).to_socket_addrs();
        let why = || format!("{} is no address of this host: give an IP address of it", self.host);
        found
            .ok()
            .and_then(|addresses| addresses.min_by_key(SocketAddr::is_ipv6))
            .ok_or_else(|| unusable("listeners", &self.host, why()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::values::Entry;
    use super::*;

    fn read(entries: &[(&str, &str)]) -> Result<Listeners, String> {
        let entry =
            |(key, value): &(&str, &str)| Entry { key: (*key).into(), value: (*value).into(), source: "t".into() };
        let entries: Vec<Entry> = entries.iter().map(entry).collect();
        Listeners::read(&Values::check(&entries).unwrap().0).map_err(|error| error.to_string())
    }

    fn endpoint(name: &str, host: &str, port: u16) -> Endpoint {
        Endpoint { name: name.into(), host: host.into(), port }
    }

    #[test]
    fn the_default_is_this_hosts_own_address() {
        let listeners = read(&[]).unwrap();
        assert_eq!(listeners.listen, endpoint("PLAINTEXT", "127.0.0.1", 9092));
        assert_eq!(listeners.advertised, None);
    }

    #[test]
    fn kafkas_own_file_for_one_node_is_understood() {
        let listeners = read(&[
            ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
            ("advertised.listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"),
            ("controller.listener.names", "CONTROLLER"),
            ("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL"),
        ])
        .unwrap();
        assert_eq!(listeners.listen, endpoint("PLAINTEXT", "", 9092));
        assert_eq!(listeners.listen.address(9092).unwrap().to_string(), "0.0.0.0:9092");
        assert_eq!(listeners.advertised, Some(endpoint("PLAINTEXT", "localhost", 9092)));
    }

    #[test]
    fn a_named_listener_is_plaintext_if_the_map_says_so() {
        let map = ("listener.security.protocol.map", "INSIDE:PLAINTEXT");
        let listeners = read(&[("listeners", "INSIDE://[::1]:0"), map]).unwrap();
        assert_eq!(listeners.listen, endpoint("INSIDE", "::1", 0));
        assert_eq!(listeners.listen.address(5).unwrap().to_string(), "[::1]:5");
        assert!(read(&[("listeners", "INSIDE://:1")]).unwrap_err().contains("add INSIDE:PLAINTEXT"));
    }

    #[test]
    fn what_is_not_served_is_refused_by_name() {
        assert!(read(&[("listeners", "SSL://:9093")]).unwrap_err().contains("only PLAINTEXT"));
        assert!(read(&[("listeners", "PLAINTEXT://:1,PLAINTEXT://:2")]).unwrap_err().contains("one listener"));
        for bad in
            ["9092", "PLAINTEXT://", "PLAINTEXT://h", "PLAINTEXT://h:x", "PLAINTEXT://h:70000", "PLAINTEXT://::1:5"]
        {
            assert!(read(&[("listeners", bad)]).unwrap_err().contains("NAME://host:port"), "{bad}");
        }
        let told = |value| read(&[("advertised.listeners", value)]).unwrap_err();
        assert!(told("PLAINTEXT://0.0.0.0:9092").contains("cannot connect"));
        assert!(told("PLAINTEXT://:9092").contains("cannot connect"));
    }
}
