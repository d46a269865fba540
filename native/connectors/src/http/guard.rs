//! Where an outgoing URL may lead: to public addresses, and to what the operator allows.
//!
//! The check is made on the address that is then dialled, not on the name, so a name cannot lead
//! elsewhere between the check and the connection. What is public follows the special-purpose
//! registries of IANA; forms of IPv6 that carry an IPv4 address are refused as a whole.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use message::{Code, Fault};

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// What may be dialled besides public addresses. The default is nothing.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// 127.0.0.0/8 and ::1.
    pub allow_loopback: bool,
    /// The operator's list. A metadata service is allowed only by its own address, not by a wider
    /// network: `0.0.0.0/0` is written easily. Nor is its mapped form, which a dual-stack socket
    /// would dial, allowed by `::/0`.
    pub allow: Vec<Network>,
    /// Where this node itself listens: a message that is posted there comes back, and again. Allowed only by a network
    /// of the list.
    pub own: Option<SocketAddr>,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Network {
    Network { address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
}

const fn v6(first: u16, second: u16, prefix: u8) -> Network {
    Network { address: IpAddr::V6(Ipv6Addr::new(first, second, 0, 0, 0, 0, 0, 0)), prefix }
}

/// IPv4 that is not public.
const REFUSED_V4: [Network; 15] = [
    v4(0, 0, 0, 0, 8),       // this network
    v4(10, 0, 0, 0, 8),      // private
    v4(100, 64, 0, 0, 10),   // carrier-grade NAT
    v4(127, 0, 0, 0, 8),     // loopback
    v4(169, 254, 0, 0, 16),  // link-local, metadata
    v4(172, 16, 0, 0, 12),   // private
    v4(192, 0, 0, 0, 24),    // protocol assignments
    v4(192, 0, 2, 0, 24),    // documentation
    v4(192, 88, 99, 0, 24),  // 6to4 relays
    v4(192, 168, 0, 0, 16),  // private
    v4(198, 18, 0, 0, 15),   // benchmarks
    v4(198, 51, 100, 0, 24), // documentation
    v4(203, 0, 113, 0, 24),  // documentation
    v4(224, 0, 0, 0, 4),     // multicast
    v4(240, 0, 0, 0, 4),     // reserved, broadcast
];

/// All of IPv6 that is public lies in here: ::, ::1, ::/96, ::ffff:0:0/96, 64:ff9b::/96 (NAT64),
/// 100::/64, fc00::/7, fe80::/10 and ff00::/8 do not ...
const GLOBAL_V6: Network = v6(0x2000, 0, 3);
/// ... and these are the parts of it that are not public.
const REFUSED_V6: [Network; 4] = [
    v6(0x2001, 0, 23),      // protocol assignments, Teredo, benchmarks
    v6(0x2001, 0x0db8, 32), // documentation
    v6(0x2002, 0, 16),      // 6to4
    v6(0x3fff, 0, 20),      // documentation
];

/// Services that give a machine's credentials to whoever asks: AWS, GCP, Azure and others; ECS
/// tasks; Alibaba; AWS on IPv6.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254)),
];

impl AddressPolicy {
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        if METADATA.contains(&address.to_canonical()) {
            return self.allow.iter().any(|network| network.is_host() && network.contains(address));
        }
        (self.allow_loopback && address.is_loopback())
            || is_public(address)
            || self.allow.iter().any(|network| network.contains(address))
    }

    /// Whether a connection `to` there, `from` this address of ours, is one to this node.
    #[must_use]
    pub fn leads_home(&self, to: SocketAddr, from: IpAddr) -> bool {
        let Some(own) = self.own.filter(|own| own.port() == to.port()) else { return false };
        let (to, from) = (to.ip().to_canonical(), from.to_canonical());
        let is_here = to == from || to.is_loopback();
        let listens = own.ip().is_unspecified() || own.ip().to_canonical() == to;
        is_here && listens && !self.allow.iter().any(|network| network.contains(to))
    }

    /// Whether that is certain before there is a connection: nobody may listen there yet.
    #[must_use]
    pub fn is_home(&self, to: SocketAddr) -> bool {
        let is_one = self.own.is_some_and(|own| !own.ip().is_unspecified());
        (is_one || to.ip().to_canonical().is_loopback()) && self.leads_home(to, to.ip())
    }

    /// `http/refused-address` unless the address may be dialled. A port is no part of the rule.
    pub fn check(&self, address: IpAddr) -> Result<(), Fault> {
        if self.allows(address) {
            return Ok(());
        }
        Err(Fault::new(Code::HttpRefusedAddress, AddressPolicy::refusal(address)))
    }

    pub(crate) fn refusal(address: IpAddr) -> String {
        format!("the address {address} is not public, and not allowed by the operator")
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => !REFUSED_V4.iter().any(|network| network.contains(address)),
        IpAddr::V6(_) => GLOBAL_V6.contains(address) && !REFUSED_V6.iter().any(|network| network.contains(address)),
    }
}

impl Network {
    /// `10.0.0.0/8`, or an address alone for itself; `config/invalid-value` otherwise, also when
    /// there are bits beyond the prefix, which is mostly a slip.
    pub fn parse(text: &str) -> Result<Network, Fault> {
        let refused =
            || Fault::new(Code::ConfigInvalidValue, format!("{text:?} is no network; write it like 10.0.0.0/8"));
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().map_err(|_| refused())?,
            Some(_) => return Err(refused()),
        };
        let network = Network { address, prefix };
        if prefix > most || bits(address) & !network.mask() != 0 {
            return Err(refused());
        }
        Ok(network)
    }

    /// Of its own family only: 10.0.0.0/8 does not hold ::ffff:10.0.0.1.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && bits(address) & self.mask() == bits(self.address)
    }

    fn is_host(&self) -> bool {
        self.prefix == if self.address.is_ipv4() { 32 } else { 128 }
    }

    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0)
    }
}

/// IPv4 lies in the upper 32 bits of the 128, so that one mask serves both.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Whether a host would be read as an IPv4 address by some resolver though it is not written as
/// four decimal numbers: `0x7f.1`, `2130706433`, `0177.0.0.1`, `127.1`, `1.2.3.4.`. The last part
/// decides, as in the URL standard: no public name ends in a number.
#[must_use]
pub fn numeric_host(host: &str) -> bool {
    if host.starts_with('[') {
        return false;
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"))
        && last[2..].bytes().all(|b| b.is_ascii_hexdigit());
    let numeric = hexadecimal || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()));
    // The standard library's parser takes four decimal numbers without leading zeros, only.
    numeric && host.parse::<Ipv4Addr>().is_err()
}
