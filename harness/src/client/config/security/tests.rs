use super::super::super::properties::Properties;
use super::super::ProducerConfig;
use super::*;

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule";
const OAUTH: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule";

fn security(pairs: &[(&str, &str)]) -> Result<SecurityConfig, String> {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", "localhost:9092");
    pairs.iter().for_each(|(key, value)| properties.set(key, value));
    let parsed = ProducerConfig::parse(&properties).map_err(|error| error.to_string())?;
    assert_eq!(parsed.unused, [""; 0]);
    Ok(parsed.config.common.security)
}

fn tls(pairs: &[(&str, &str)]) -> Result<TlsSettings, String> {
    let mut all = vec![("security.protocol", "ssl")];
    all.extend(pairs);
    security(&all).map(|security| security.tls.unwrap())
}

fn sasl(mechanism: &str, jaas: &str, pairs: &[(&str, &str)]) -> Result<SaslSettings, String> {
    let mut all =
        vec![("security.protocol", "SASL_PLAINTEXT"), ("sasl.mechanism", mechanism), ("sasl.jaas.config", jaas)];
    all.extend(pairs);
    security(&all).map(|security| security.sasl.unwrap())
}

#[test]
fn the_protocol_says_which_layers_there_are() {
    let plain = security(&[]).unwrap();
    assert!(plain.tls.is_none() && plain.sasl.is_none());
    let jaas = format!("{PLAIN} required username=u password=p;");
    let both = [("security.protocol", "sasl_ssl"), ("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", &jaas)];
    let both = security(&both).unwrap();
    assert!(both.tls.is_some() && both.sasl.is_some());
    let error = security(&[("security.protocol", "TLS")]).unwrap_err();
    assert_eq!(
        error,
        "Invalid value TLS for configuration security.protocol: String must be one of (case insensitive): SASL_SSL, PLAINTEXT, SSL, SASL_PLAINTEXT"
    );
}

#[test]
fn settings_of_a_layer_that_is_not_there_are_reported_as_unused() {
    let mut properties = Properties::new();
    properties.set("bootstrap.servers", "localhost:9092");
    properties.set("ssl.truststore.location", "/nowhere");
    assert_eq!(ProducerConfig::parse(&properties).unwrap().unused, ["ssl.truststore.location"]);
}

#[test]
fn the_defaults_of_tls_are_kafka_s() {
    let tls = tls(&[]).unwrap();
    assert_eq!((tls.trust, tls.identity, tls.check_host), (Trust::System, None, true));
    assert_eq!(tls.versions, [TlsVersion::V1_2, TlsVersion::V1_3]);
}

#[test]
fn an_empty_algorithm_leaves_the_host_name_unchecked() {
    assert!(!tls(&[("ssl.endpoint.identification.algorithm", "")]).unwrap().check_host);
    assert!(tls(&[("ssl.endpoint.identification.algorithm", "HTTPS")]).unwrap().check_host);
    let error = tls(&[("ssl.endpoint.identification.algorithm", "ldaps")]).unwrap_err();
    assert!(error.starts_with("ssl.endpoint.identification.algorithm=ldaps is not supported"), "{error}");
}

#[test]
fn stores_that_contradict_themselves_are_refused_in_kafka_s_words() {
    let pem = ("ssl.truststore.type", "PEM");
    let cases: [(&[(&str, &str)], &str); 9] = [
        (
            &[("ssl.truststore.certificates", "x")],
            "SSL trust store certs can be specified only for PEM, but trust store type is JKS.",
        ),
        (
            &[pem, ("ssl.truststore.certificates", "x"), ("ssl.truststore.location", "f")],
            "Both SSL trust store location and separate trust certificates are specified.",
        ),
        (
            &[pem, ("ssl.truststore.location", "f"), ("ssl.truststore.password", "p")],
            "SSL trust store password cannot be specified for PEM format.",
        ),
        (
            &[("ssl.truststore.password", "p")],
            "SSL trust store is not specified, but trust store password is specified.",
        ),
        (&[("ssl.keystore.location", "f")], "SSL key store is specified, but key store password is not specified."),
        (&[("ssl.keystore.password", "p")], "SSL key store is not specified, but key store password is specified."),
        (
            &[("ssl.keystore.type", "PEM"), ("ssl.keystore.key", "k")],
            "SSL private key is specified, but certificate chain is not specified.",
        ),
        (
            &[("ssl.keystore.type", "PEM"), ("ssl.keystore.certificate.chain", "c")],
            "SSL certificate chain is specified, but private key is not specified",
        ),
        (
            &[("ssl.keystore.location", "f"), ("ssl.keystore.password", "p"), ("ssl.key.password", "other")],
            "Invalid value [hidden] for configuration ssl.key.password: the keys of a PKCS12 store have the store's password: leave it out or make it equal",
        ),
    ];
    for (pairs, wanted) in cases {
        assert_eq!(tls(pairs).unwrap_err(), wanted);
    }
}

#[test]
fn what_only_a_jvm_can_honour_is_refused_by_name() {
    for (name, value) in [
        ("ssl.provider", "BCFIPS"),
        ("ssl.engine.factory.class", "com.example.Mine"),
        ("ssl.secure.random.implementation", "SHA1PRNG"),
        ("ssl.protocol", "TLSv1.1"),
        ("ssl.truststore.type", "BCFKS"),
    ] {
        let error = tls(&[(name, value)]).unwrap_err();
        assert!(error.starts_with(&format!("{name}={value} is not supported by this build yet:")), "{error}");
    }
    let error = tls(&[("ssl.enabled.protocols", "TLSv1.1,TLSv1.2")]).unwrap_err();
    assert!(error.contains("TLSv1.1") && error.contains("ssl.enabled.protocols"), "{error}");
}

#[test]
fn gssapi_the_default_mechanism_is_refused_with_what_to_do() {
    let error = security(&[("security.protocol", "SASL_SSL")]).unwrap_err();
    assert!(error.starts_with("sasl.mechanism=GSSAPI is not supported by this build yet: Kerberos"), "{error}");
    let error = sasl("CRAM-MD5", "x", &[]).unwrap_err();
    assert!(error.starts_with("Invalid value CRAM-MD5 for configuration sasl.mechanism"), "{error}");
}

#[test]
fn name_and_password_come_out_of_the_jaas_line() {
    for module in [PLAIN, "org.apache.kafka.common.security.scram.ScramLoginModule"] {
        let line = format!("{module} required\n  username=\"al ice\" password=\"a\\\"b;=/\" ;");
        let login = sasl("SCRAM-SHA-512", &line, &[]).unwrap().login;
        let SaslLogin::Password { username, password } = login else { panic!("{login:?}") };
        assert_eq!((username.as_str(), password.expose()), ("al ice", "a\"b;=/"));
    }
}

#[test]
fn no_error_and_no_debug_text_shows_a_password() {
    let line = format!("{PLAIN} required username=u password=\"hunter2\"");
    let error = sasl("PLAIN", &line, &[]).unwrap_err();
    assert_eq!(
        error,
        "Invalid value [hidden] for configuration sasl.jaas.config: JAAS config entry not terminated by semi-colon"
    );
    let settings = sasl("PLAIN", &(line + ";"), &[]).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn the_jaas_line_is_read_as_java_reads_it() {
    let parse = jaas::parse;
    let module =
        parse("a.B$C REQUIRED // comment\n k=\"\\101\\n\" /* ; */ k='it' l=x-1_y;").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((module.class.as_str(), module.option("k"), module.option("l")), ("a.B$C", Some("it"), Some("x-1_y")));
    assert_eq!(module.options[0].1, "A\n");
    let error = |line: &str| parse(line).err().unwrap();
    assert_eq!(error("  "), "JAAS config property does not contain any login modules");
    assert_eq!(error("a.B"), "Login module control flag not specified in JAAS config");
    assert_eq!(error("a.B must;"), "Invalid login module control flag 'must' in JAAS config");
    assert_eq!(error("a.B required k;"), "Value not specified for key 'k' in JAAS config");
    assert_eq!(error("a.B required k=v"), "JAAS config entry not terminated by semi-colon");
    assert_eq!(
        error("a.B required; a.B required;"),
        "JAAS config property contains 2 login modules, should be 1 module"
    );
    assert_eq!(error("a.B required k=\"v;"), "a \" in the JAAS config is not closed");
    assert!(error("a.B required k=/etc/x;").contains("without quotes"));
}

#[test]
fn a_login_module_or_option_that_is_not_built_in_is_named() {
    let error = sasl("PLAIN", "com.sun.security.auth.module.Krb5LoginModule required;", &[]).unwrap_err();
    assert!(error.contains("Krb5LoginModule is not built in"), "{error}");
    let error = sasl("SCRAM-SHA-256", &format!("{PLAIN} required username=u password=p tokenauth=true;"), &[]);
    assert!(error.unwrap_err().contains("the option tokenauth is not supported"));
    let handler = ("sasl.login.callback.handler.class", "com.example.Mine");
    let error = sasl("OAUTHBEARER", &format!("{OAUTH} required;"), &[handler]).unwrap_err();
    assert!(error.starts_with("sasl.login.callback.handler.class=com.example.Mine is not supported"), "{error}");
}

#[test]
fn an_unsecured_token_takes_its_claims_from_the_options() {
    let line = format!(
        "{OAUTH} required unsecuredLoginStringClaim_sub=\"u\" unsecuredLoginNumberClaim_n=\"2.5\" unsecuredLoginListClaim_scope=\"|a|b|\" unsecuredLoginLifetimeSeconds=\"9\" unsecuredLoginExtension_traceId=\"123\";"
    );
    let SaslLogin::Token { source, extensions, .. } = sasl("OAUTHBEARER", &line, &[]).unwrap().login else { panic!() };
    let TokenSource::Unsecured { claims, lifetime } = source else { panic!("{source:?}") };
    assert_eq!(serde_json::Value::from(claims), serde_json::json!({"sub": "u", "n": 2.5, "scope": ["a", "b"]}));
    assert_eq!(lifetime.as_secs(), 9);
    assert_eq!(extensions, [("traceId".to_owned(), "123".to_owned())]);
    let error = sasl("OAUTHBEARER", &format!("{OAUTH} required;"), &[]).unwrap_err();
    assert!(error.contains("needs unsecuredLoginStringClaim_sub"), "{error}");
}

#[test]
fn client_credentials_have_the_names_of_both_lines_of_kafka() {
    let url = ("sasl.oauthbearer.token.endpoint.url", "https://id.example/token");
    let old = "org.apache.kafka.common.security.oauthbearer.secured.OAuthBearerLoginCallbackHandler";
    let new = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";
    let class = "sasl.login.callback.handler.class";
    let by_options = sasl(
        "OAUTHBEARER",
        &format!("{OAUTH} required clientId=\"i\" clientSecret=\"s\" scope=\"x\";"),
        &[url, (class, old)],
    );
    let by_properties = sasl(
        "OAUTHBEARER",
        &format!("{OAUTH} required;"),
        &[
            url,
            (class, new),
            ("sasl.oauthbearer.client.credentials.client.id", "i"),
            ("sasl.oauthbearer.client.credentials.client.secret", "s"),
            ("sasl.oauthbearer.scope", "x"),
        ],
    );
    let source = |settings: Result<SaslSettings, String>| match settings.unwrap().login {
        SaslLogin::Token { source, .. } => source,
        other => panic!("{other:?}"),
    };
    assert_eq!(source(by_options), source(by_properties));
    let error = sasl("OAUTHBEARER", &format!("{OAUTH} required;"), &[url]).unwrap_err();
    assert!(error.contains("it has an effect only with sasl.login.callback.handler.class="), "{error}");
}
