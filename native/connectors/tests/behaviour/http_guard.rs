//! Which addresses may be dialled.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use connectors::http::guard::{AddressPolicy, Network, numeric_host};
use message::Code;
use proptest::prelude::*;

/// Every range of the special-purpose registries that no customer's URL may lead to.
const REFUSED: [&str; 38] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "255.255.255.255/32",
    "169.254.169.254/32",
    "::/128",
    "::1/128",
    "::/96",
    "::ffff:0:0/96",
    "::ffff:0:0:0/96",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/32",
    "2001:2::/48",
    "2001:10::/28",
    "2001:20::/28",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fd00:ec2::254/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// The number of a network's address, its bits, and the bits of its prefix.
fn range(text: &str) -> (u128, u32, u32) {
    let (address, prefix) = text.split_once('/').unwrap();
    let prefix: u32 = prefix.parse().unwrap();
    match address.parse().unwrap() {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32, prefix),
        IpAddr::V6(v6) => (u128::from(v6), 128, prefix),
    }
}

fn address(number: u128, bits: u32) -> IpAddr {
    if bits == 32 { Ipv4Addr::from(u32::try_from(number).unwrap()).into() } else { Ipv6Addr::from(number).into() }
}

/// The `offset`th address of the range, round and round.
fn within(text: &str, offset: u128) -> IpAddr {
    let (first, bits, prefix) = range(text);
    let host = bits - prefix;
    let size_mask = if host == 128 { u128::MAX } else { (1u128 << host) - 1 };
    address(first | (offset & size_mask), bits)
}

#[test]
fn the_edges_of_every_special_range_are_refused() {
    let policy = AddressPolicy::default();
    for range in REFUSED {
        for offset in [0, 1, u128::MAX] {
            let address = within(range, offset);
            assert_eq!(policy.check(address).expect_err(range).code(), Code::HttpRefusedAddress, "{address}");
        }
    }
}

#[test]
fn public_addresses_are_allowed() {
    for public in [
        "1.1.1.1",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "223.255.255.255",
        "2606:4700::1111",
        "2001:200::1",
        "2a00::",
        "2003::1",
        "3ffe::1",
    ] {
        assert!(AddressPolicy::default().allows(public.parse().unwrap()), "{public}");
    }
}

#[test]
fn run_allows_loopback_in_its_plain_forms_only() {
    let policy = AddressPolicy { allow_loopback: true, ..AddressPolicy::default() };
    for (address, allowed) in [
        ("127.0.0.1", true),
        ("127.9.9.9", true),
        ("::1", true),
        ("::ffff:127.0.0.1", false),
        ("::127.0.0.1", false),
        ("0.0.0.0", false),
        ("::", false),
        ("10.0.0.1", false),
    ] {
        assert_eq!(policy.allows(address.parse().unwrap()), allowed, "{address}");
    }
}

#[test]
fn an_address_leads_home_when_it_is_this_machines_and_the_node_listens_there() {
    let policy = |own: &str, allow: &[&str]| AddressPolicy {
        own: Some(own.parse().unwrap()),
        allow: allow.iter().map(|network| Network::parse(network).unwrap()).collect(),
        ..AddressPolicy::default()
    };
    for (own, to, from, is_home) in [
        ("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", true),
        ("127.0.0.1:80", "127.0.0.1:81", "127.0.0.1", false),
        ("127.0.0.1:80", "127.0.0.2:80", "127.0.0.1", false),
        ("0.0.0.0:80", "127.0.0.2:80", "127.0.0.1", true),
        ("0.0.0.0:80", "192.0.2.7:80", "192.0.2.7", true),
        ("0.0.0.0:80", "192.0.2.8:80", "192.0.2.7", false),
        ("[::]:80", "[::1]:80", "::1", true),
        ("[::]:80", "[::ffff:192.0.2.7]:80", "192.0.2.7", true),
        ("192.0.2.7:80", "192.0.2.7:80", "192.0.2.7", true),
        ("192.0.2.7:80", "127.0.0.1:80", "127.0.0.1", false),
    ] {
        let (to, from) = (to.parse().unwrap(), from.parse().unwrap());
        assert_eq!(policy(own, &[]).leads_home(to, from), is_home, "{own} {to}");
        assert!(!policy(own, &["127.0.0.0/8", "::1", "192.0.2.0/24"]).leads_home(to, from), "{own} {to}");
    }
    for (own, to, is_certain) in [
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("0.0.0.0:80", "127.0.0.2:80", true),
        ("[::]:80", "[::1]:80", true),
        ("192.0.2.7:80", "192.0.2.7:80", true),
        ("192.0.2.7:80", "192.0.2.8:80", false),
        ("0.0.0.0:80", "192.0.2.8:80", false),
        ("127.0.0.1:80", "127.0.0.1:81", false),
    ] {
        assert_eq!(policy(own, &[]).is_home(to.parse().unwrap()), is_certain, "{own} {to}");
    }
    assert!(!AddressPolicy::default().leads_home("127.0.0.1:80".parse().unwrap(), "127.0.0.1".parse().unwrap()));
}

#[test]
fn the_operator_allows_networks_but_metadata_only_by_its_own_address() {
    let allow = |networks: &[&str]| AddressPolicy {
        allow_loopback: true,
        allow: networks.iter().map(|n| Network::parse(n).unwrap()).collect(),
        own: None,
    };
    let wide = allow(&["0.0.0.0/0", "::/0"]);
    for open in ["10.1.2.3", "192.168.0.1", "fe80::1", "255.255.255.255"] {
        assert!(wide.allows(open.parse().unwrap()), "{open}");
    }
    for metadata in ["169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254"] {
        assert!(!wide.allows(metadata.parse().unwrap()), "{metadata}");
        assert!(allow(&[metadata]).allows(metadata.parse().unwrap()), "{metadata}");
    }
    assert!(!wide.allows("::ffff:169.254.169.254".parse().unwrap()));
    let narrow = allow(&["10.1.0.0/16"]);
    assert!(narrow.allows("10.1.255.255".parse().unwrap()) && !narrow.allows("10.2.0.0".parse().unwrap()));
    assert!(!narrow.allows("::ffff:10.1.0.1".parse().unwrap()));
}

#[test]
fn networks_are_written_in_one_way() {
    for good in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "1.2.3.4/32", "fd00::/8"] {
        assert_eq!(Network::parse(good).unwrap().to_string(), good);
    }
    for bad in [
        "",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "::/129",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/",
        "010.0.0.0/8",
        "10.0.0/8",
        "x",
        "10.0.0.0/8/8",
        "fd00::1/8",
    ] {
        assert_eq!(Network::parse(bad).unwrap_err().code(), Code::ConfigInvalidValue, "{bad}");
    }
}

#[test]
fn numbers_in_disguise_are_seen() {
    for disguised in [
        "0x7f.1",
        "0x7f000001",
        "0X7F000001",
        "2130706433",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "1.2.3.4.",
        "127.0.0.0x1",
        "a.1",
        "0x",
        "256.1.1.1",
        "1.2.3.4.5",
    ] {
        assert!(numeric_host(disguised), "{disguised}");
    }
    for plain in [
        "127.0.0.1",
        "8.8.8.8",
        "[::1]",
        "example.com",
        "1.example.com",
        "0x7f.example",
        "1a",
        "x0x1",
        "a.b.",
        "localhost",
        "",
    ] {
        assert!(!numeric_host(plain), "{plain}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn nothing_within_a_special_range_is_allowed(range in 0..REFUSED.len(), offset: u128) {
        prop_assert!(!AddressPolicy::default().allows(within(REFUSED[range], offset)));
    }

    #[test]
    fn ipv4_in_ipv6_clothes_is_never_allowed(v4: u32) {
        let (v4, policy) = (u128::from(v4), AddressPolicy::default());
        for carried in [v4, 0xffff << 32 | v4, 0x64_ff9b << 96 | v4, 0x2002 << 112 | v4 << 80, 0x2001_0000 << 96 | v4] {
            prop_assert!(!policy.allows(IpAddr::V6(Ipv6Addr::from(carried))));
        }
    }

    /// The standard library's own notions, as far as they are stable.
    #[test]
    fn what_the_standard_library_calls_special_is_refused(v4: u32, v6: u128) {
        let policy = AddressPolicy::default();
        let address = Ipv4Addr::from(v4);
        if address.is_private() || address.is_loopback() || address.is_link_local() || address.is_broadcast() || address.is_documentation() || address.is_multicast() || address.is_unspecified() {
            prop_assert!(!policy.allows(address.into()));
        }
        let address = Ipv6Addr::from(v6);
        if address.is_unique_local() || address.is_unicast_link_local() || address.is_multicast() || address.to_ipv4().is_some() {
            prop_assert!(!policy.allows(address.into()));
        }
    }

    #[test]
    fn a_network_holds_exactly_the_addresses_of_its_prefix(number: u32, prefix in 0u8..=32, other: u32) {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        let network = Network::parse(&format!("{}/{prefix}", Ipv4Addr::from(number & mask))).unwrap();
        prop_assert_eq!(network.contains(Ipv4Addr::from(other).into()), other & mask == number & mask);
    }
}
