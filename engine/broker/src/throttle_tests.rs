use super::*;
use crate::metadata::quotas::{entity_of, record};

const MS: u64 = 1_000_000;

/// An entity's parts.
type Parts<'a> = &'a [(&'a str, Option<&'a str>)];

fn quotas(all: &[(Parts<'_>, f64)]) -> Arc<Quotas> {
    let mut quotas = Quotas::default();
    for (entity, value) in all {
        quotas.apply(&record(&entity_of(entity), "producer_byte_rate", Some(*value)));
    }
    Arc::new(quotas)
}

fn throttle(all: &[(Parts<'_>, f64)]) -> Throttle {
    Throttle::new(&Settings::of(&[]), quotas(all))
}

#[test]
fn the_nearest_quota_counts() {
    let mut all: Vec<(Parts<'_>, f64)> = vec![
        (&[("user", Some(ANONYMOUS)), ("client-id", Some("c"))], 1.0),
        (&[("user", Some(ANONYMOUS)), ("client-id", None)], 2.0),
        (&[("user", Some(ANONYMOUS))], 3.0),
        (&[("user", None), ("client-id", Some("c"))], 4.0),
        (&[("user", None), ("client-id", None)], 5.0),
        (&[("user", None)], 6.0),
        (&[("client-id", Some("c"))], 7.0),
        (&[("client-id", None)], 8.0),
    ];
    while !all.is_empty() {
        let (payer, value) = nearest(&quotas(&all), "producer_byte_rate", "c").unwrap();
        assert_eq!(value, all[0].1);
        assert_eq!(payer.of_user, value < 7.0);
        assert_eq!(payer.client_id.is_none(), value == 3.0 || value == 6.0);
        all.remove(0);
    }
    let of_clients: &[(Parts<'_>, f64)] = &[(&[("client-id", None)], 8.0)];
    assert_eq!(nearest(&quotas(of_clients), "producer_byte_rate", ""), None, "a client without a name");
    assert_eq!(nearest(&quotas(of_clients), "consumer_byte_rate", "c"), None);
}

/// 1,000 bytes a second over ten seconds: what is above 10,000 bytes is waited for.
#[test]
fn a_client_waits_until_its_rate_is_its_quota() {
    let mut throttle = throttle(&[(&[("client-id", Some("c"))], 1000.0)]);
    let charge = |throttle: &mut Throttle, bytes, ms: u64| throttle.charge(Rate::Produce, "c", bytes, Nanos(ms * MS));
    assert_eq!(charge(&mut throttle, 10_000, 5), 0, "all of ten seconds at once");
    assert_eq!(charge(&mut throttle, 2_000, 5), 2_000);
    assert_eq!(charge(&mut throttle, 0, 1_005), 2_000, "windows that were not there count as empty ones");
    assert_eq!(charge(&mut throttle, 0, 10_505), 1_500);
    assert_eq!(charge(&mut throttle, 0, 11_005), 0, "forgotten");
    assert_eq!(throttle.charge(Rate::Produce, "other", 1 << 30, Nanos(0)), 0);
    assert_eq!(throttle.charge(Rate::Fetch, "c", 1 << 30, Nanos(0)), 0);
}

/// A tenth of a percent over ten seconds: ten milliseconds of the thread.
#[test]
fn the_time_of_a_step_is_shared_by_its_requests_and_nobody_waits_longer_than_a_window() {
    let mut all = Quotas::default();
    all.apply(&record(&entity_of(&[("client-id", Some("c"))]), REQUEST_PERCENTAGE, Some(0.1)));
    let mut throttle = Throttle::new(&Settings::of(&[]), Arc::new(all));
    let ask = |throttle: &mut Throttle, client, ms: u64| throttle.requested(Some(client), Nanos(ms * MS));
    assert_eq!((ask(&mut throttle, "c", 5), ask(&mut throttle, "other", 5)), (0, 0));
    throttle.step_ended(20 * MS, Nanos(5 * MS));
    assert_eq!(ask(&mut throttle, "c", 5), 0, "ten of the twenty milliseconds were another's");
    throttle.step_ended(MS / 10, Nanos(5 * MS));
    assert_eq!(ask(&mut throttle, "c", 5), 100, "a tenth of a millisecond is made up for in a tenth of a second");
    throttle.step_ended(50 * MS, Nanos(5 * MS));
    assert_eq!((ask(&mut throttle, "c", 5), ask(&mut throttle, "other", 5)), (1_000, 0));
    assert_eq!(ask(&mut throttle, "c", 12_000), 0, "forgotten");
    throttle.take_quotas(&quotas(&[]));
    assert_eq!(ask(&mut throttle, "c", 12_000), 0);
}

/// Two a second over ten seconds; those that are turned away do not count.
#[test]
fn an_address_that_opens_too_many_connections_is_turned_away_for_a_window_at_most() {
    let mut all = Quotas::default();
    all.apply(&record(&entity_of(&[("ip", None)]), CONNECTION_RATE, Some(2.0)));
    all.apply(&record(&entity_of(&[("ip", Some("10.0.0.1"))]), CONNECTION_RATE, Some(100.0)));
    let mut throttle = Throttle::new(&Settings::of(&[]), Arc::new(all));
    let [own, other]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|text| text.parse().unwrap());
    let served = |throttle: &mut Throttle, address, ms: u64| throttle.connect(address, Nanos(ms * MS)) == 0;
    assert_eq!((0..30).filter(|_| served(&mut throttle, other, 5)).count(), 20);
    assert_eq!(throttle.connect(other, Nanos(5 * MS)), 500, "half a second later it would be two a second");
    assert_eq!((0..30).filter(|_| served(&mut throttle, own, 5)).count(), 30, "one's own quota comes first");
    assert_eq!((0..30).filter(|_| served(&mut throttle, other, 11_005)).count(), 20);
    throttle.take_quotas(&quotas(&[]));
    assert!(served(&mut throttle, other, 11_005));
}

#[test]
fn what_left_empty_is_taken_back() {
    let mut throttle = throttle(&[(&[("user", None)], 1000.0)]);
    assert!(throttle.charge(Rate::Produce, "c", 50_000, Nanos(0)) > 0);
    throttle.take_back(Rate::Produce, "c", 50_000, Nanos(0));
    assert_eq!(throttle.charge(Rate::Produce, "d", 10_000, Nanos(0)), 0);
    assert_eq!(throttle.bytes_max(Rate::Produce, "c"), 10_000);
    assert_eq!(throttle.bytes_max(Rate::Fetch, "c"), usize::MAX);
}

#[test]
fn the_names_of_clients_fill_no_memory() {
    let mut throttle = throttle(&[(&[("client-id", None)], 1000.0)]);
    for client in 0..3 * REMEMBERED as u64 {
        throttle.charge(Rate::Produce, &client.to_string(), 1, Nanos(client * 20 * MS));
    }
    assert!(throttle.meters.len() <= REMEMBERED && throttle.payers.len() <= REMEMBERED);
}

#[test]
fn quotas_of_a_newer_image_count_at_once() {
    let mut throttle = throttle(&[(&[("client-id", None)], 1000.0)]);
    assert!(throttle.charge(Rate::Produce, "c", 50_000, Nanos(0)) > 0);
    throttle.take_quotas(&quotas(&[]));
    assert!(throttle.is_idle());
    assert_eq!(throttle.charge(Rate::Produce, "c", 50_000, Nanos(0)), 0);
}
