//! Subjects, streams and lanes: `vrsky.<type>.<tier>.<lane>.<customer>.<pipeline>.<step>`.
//!
//! The subject is the authority for the customer, since NATS permissions are by subject. A lane is
//! a stream with one unfiltered durable consumer; a customer's lane is a stable hash of its name.

/// The node types that own lane streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneType {
    /// All steps of a pipeline.
    Logic,
    /// Runs of steps that change messages, and runs of those that decide: where the topology is split.
    Converter,
    Filter,
    Outgoing,
}

impl LaneType {
    pub const ALL: [LaneType; 4] = [LaneType::Logic, LaneType::Converter, LaneType::Filter, LaneType::Outgoing];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            LaneType::Logic => "logic",
            LaneType::Converter => "converter",
            LaneType::Filter => "filter",
            LaneType::Outgoing => "outgoing",
        }
    }

    /// Whether its messages wait for steps, and not for an out.
    #[must_use]
    pub const fn is_for_steps(self) -> bool {
        !matches!(self, LaneType::Outgoing)
    }
}

/// One of the lanes of a node type and tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lane {
    /// By its number: of all customers whose hash says so.
    Shared(u32),
    /// Of one customer alone, which nodes of its own serve.
    Own(Box<str>),
}

/// The backlog tiers: a tier is a stream class, since `max_msgs_per_subject` is one number a stream.
pub const TIERS: [(&str, u64); 2] = [("t1000", 1_000), ("t10000", 10_000)];

/// The smallest tier that holds `backlog` messages, and how many it holds.
#[must_use]
pub fn tier_for(backlog: u64) -> (&'static str, u64) {
    *TIERS.iter().find(|(_, cap)| backlog <= *cap).unwrap_or(&TIERS[TIERS.len() - 1])
}

/// `VRSKY_LOGIC_T1000_0`, or `VRSKY_LOGIC_T1000_OWN_ACME`: names of customers have no upper case.
#[must_use]
pub fn stream(lane_type: LaneType, tier: &str, lane: &Lane) -> String {
    let before = format!("VRSKY_{}_{tier}", lane_type.as_str());
    match lane {
        Lane::Shared(number) => format!("{before}_{number}"),
        Lane::Own(customer) => format!("{before}_OWN_{customer}"),
    }
    .to_uppercase()
}

/// FNV-1a (64 bit): stable over releases and machines, unlike the hashers of the standard library.
#[must_use]
pub fn hash(text: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    text.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The lane of a customer among so many.
#[must_use]
pub fn lane_of(customer: &str, lanes: u32) -> u32 {
    u32::try_from(hash(customer) % u64::from(lanes.max(1))).unwrap_or(0)
}

/// `vrsky.logic.t1000.0.acme.orders.in`, or with `own` in place of the lane's number.
#[must_use]
pub fn subject(lane_type: LaneType, tier: &str, lane: &Lane, customer: &str, pipeline: &str, step: &str) -> String {
    let lane_type = lane_type.as_str();
    match lane {
        Lane::Shared(number) => format!("vrsky.{lane_type}.{tier}.{number}.{customer}.{pipeline}.{step}"),
        Lane::Own(_) => format!("vrsky.{lane_type}.{tier}.own.{customer}.{pipeline}.{step}"),
    }
}

/// `vrsky.dead.acme.orders.<step>`
#[must_use]
pub fn dead(customer: &str, pipeline: &str, step: &str) -> String {
    format!("vrsky.dead.{customer}.{pipeline}.{step}")
}

/// The stream of the dead letters.
pub const DEAD: &str = "VRSKY_DEAD";

/// `vrsky.original.acme.orders.<id>`: the whole message of a part that is a dead letter.
#[must_use]
pub fn original(customer: &str, pipeline: &str, id: &str) -> String {
    format!("vrsky.original.{customer}.{pipeline}.{id}")
}

/// The stream that remembers clients' keys.
pub const KEYS: &str = "VRSKY_KEYS";

/// `vrsky.key.acme.<digits>`
#[must_use]
pub fn key(customer: &str, digits: &str) -> String {
    format!("vrsky.key.{customer}.{digits}")
}

/// `vrsky.key.acme.<digits>.stored`: the message of this key is stored. Of the subject of the key.
#[must_use]
pub fn key_stored(key: &str) -> String {
    format!("{key}.stored")
}

/// The subjects of requests to see the messages of a pipeline. Whoever may publish there sees them.
pub const ALL_TAPS: &str = "vrsky.tap.*.*";

/// `vrsky.tap.acme.orders`
#[must_use]
pub fn tap(customer: &str, pipeline: &str) -> String {
    format!("vrsky.tap.{customer}.{pipeline}")
}

/// Customer and pipeline of such a subject.
#[must_use]
pub fn parse_tap(subject: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(subject).ok()?.strip_prefix("vrsky.tap.")?.split_once('.')
}

/// What subjects begin with on which the messages are shown.
pub const TAPPED: &str = "vrsky.tapped.";

/// `vrsky.tapped.acme.orders.<token>`
#[must_use]
pub fn tapped(customer: &str, pipeline: &str, token: &str) -> String {
    format!("{TAPPED}{customer}.{pipeline}.{token}")
}

/// The stream of the messages whose out fails for longer.
pub const PARKED: &str = "VRSKY_PARKED";

/// `vrsky.parked.acme.orders.erp`
#[must_use]
pub fn parked(customer: &str, pipeline: &str, out: &str) -> String {
    format!("vrsky.parked.{customer}.{pipeline}.{out}")
}

/// The consumer of these messages. A store has it already: another name would leave the old consumer on the
/// subject, and a work queue takes no second one. Each part with its length, since three names in one text could be
/// read in more than one way.
#[must_use]
pub fn parked_consumer(customer: &str, pipeline: &str, out: &str) -> String {
    let mut hash = blake3::Hasher::new();
    for part in [customer, pipeline, out] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().to_hex().as_str()[..32].to_owned()
}

/// The queue group of a core NATS in. Names hold hyphens: where one does, a dot joins them, which no name holds. Where
/// none does, the hyphen is the border, and the group is the one of nodes that are older than that.
#[must_use]
pub fn queue_group(customer: &str, pipeline: &str) -> String {
    let joined_by = if customer.contains('-') || pipeline.contains('-') { '.' } else { '-' };
    format!("vrsky{joined_by}{customer}{joined_by}{pipeline}")
}

/// `vrsky.parked.acme.orders._in`: messages that wait for their pipeline's steps. No out's name has an underscore.
#[must_use]
pub fn aside(customer: &str, pipeline: &str) -> String {
    format!("vrsky.parked.{customer}.{pipeline}._in")
}

/// The subjects of all messages that wait for their out or for their pipeline.
pub const ALL_PARKED: &str = "vrsky.parked.>";

/// The subjects of all messages that wait for their pipeline's steps.
pub const ALL_ASIDE: &str = "vrsky.parked.*.*._in";

/// Customer and pipeline of such a subject.
#[must_use]
pub fn parse_aside(subject: &str) -> Option<(&str, &str)> {
    subject.strip_prefix("vrsky.parked.")?.strip_suffix("._in")?.split_once('.')
}

/// Customer, pipeline and out of the subject of a parked message.
#[must_use]
pub fn parse_parked(subject: &str) -> Option<(&str, &str, &str)> {
    let (customer, rest) = subject.strip_prefix("vrsky.parked.")?.split_once('.')?;
    let (pipeline, out) = rest.split_once('.')?;
    Some((customer, pipeline, out))
}

/// A text as one subject token: what has a meaning there becomes a hyphen, and so does no text.
#[must_use]
pub fn token(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == ':' || c == '_' { c } else { '-' }).collect()
}

/// What follows the lane in a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// `<customer>.<pipeline>`, the key of the registry.
    pub key: &'a str,
    pub customer: &'a str,
    pub pipeline: &'a str,
    /// `in`, the label of a step, or the name of the out.
    pub step: &'a str,
}

/// Reads a lane subject; `None` when it is not one of ours.
#[must_use]
pub fn parse(subject: &[u8]) -> Option<Address<'_>> {
    let rest = std::str::from_utf8(subject).ok()?.strip_prefix("vrsky.")?;
    // Type, tier and lane.
    let rest = rest.splitn(4, '.').nth(3)?;
    let (key, step) = rest.rsplit_once('.')?;
    let (customer, pipeline) = key.split_once('.')?;
    let named = !customer.is_empty() && !pipeline.is_empty() && !pipeline.contains('.');
    named.then_some(Address { key, customer, pipeline, step })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_reads_back() {
        let text = subject(LaneType::Outgoing, "t1000", &Lane::Shared(3), "acme", "orders", "erp");
        assert_eq!(text, "vrsky.outgoing.t1000.3.acme.orders.erp");
        assert_eq!(
            parse(text.as_bytes()),
            Some(Address { key: "acme.orders", customer: "acme", pipeline: "orders", step: "erp" })
        );
        for other in [
            "",
            "vrsky",
            "vrsky.logic.t1000.0.acme.orders",
            "x.logic.t1000.0.acme.orders.in",
            "vrsky.logic.t1000.0.acme.orders.in.more",
        ] {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_lane_of_ones_own_shares_no_subject_with_the_others() {
        let own = Lane::Own("big-co".into());
        assert_eq!(stream(LaneType::Logic, "t1000", &own), "VRSKY_LOGIC_T1000_OWN_BIG-CO");
        let text = subject(LaneType::Logic, "t1000", &own, "big-co", "orders", "in");
        assert_eq!(text, "vrsky.logic.t1000.own.big-co.orders.in");
        assert_eq!(parse(text.as_bytes()).map(|a| (a.customer, a.pipeline, a.step)), Some(("big-co", "orders", "in")));
    }

    /// All names that hyphens and one letter make, up to four characters.
    fn names() -> Vec<String> {
        let longer = |names: Vec<String>| names.iter().flat_map(|n| [format!("{n}a"), format!("{n}-")]).collect();
        let all = (0..4).scan(vec![String::new()], |names, _| {
            *names = longer(std::mem::take(names));
            Some(names.clone())
        });
        all.flatten().filter(|name| message::check_name(name).is_ok()).collect()
    }

    #[test]
    fn no_two_pipelines_and_no_two_outs_have_the_same_name_of_anything() {
        let names = names();
        assert_eq!(names.len(), 8, "{names:?}");
        let mut seen = std::collections::HashSet::new();
        for (customer, pipeline) in names.iter().flat_map(|c| names.iter().map(move |p| (c, p))) {
            assert!(seen.insert(queue_group(customer, pipeline)), "{customer} {pipeline}");
            for step in &names {
                let subject = subject(LaneType::Logic, "t1000", &Lane::Shared(0), customer, pipeline, step);
                assert_eq!(
                    parse(subject.as_bytes()).map(|a| (a.customer, a.pipeline, a.step)),
                    Some((customer.as_str(), pipeline.as_str(), step.as_str()))
                );
                for text in [
                    subject,
                    dead(customer, pipeline, step),
                    parked(customer, pipeline, step),
                    parked_consumer(customer, pipeline, step),
                ] {
                    assert!(seen.insert(text), "{customer} {pipeline} {step}");
                }
            }
        }
    }

    #[test]
    fn what_a_store_or_another_node_has_keeps_its_name() {
        assert_eq!(parked_consumer("acme", "orders", "erp"), "e3d35d5d56f2ac6379f1ee9aa2a3f980");
        assert_eq!(queue_group("acme", "orders"), "vrsky-acme-orders");
        assert_eq!(queue_group("acme", "eu-orders"), "vrsky.acme.eu-orders");
    }

    #[test]
    fn what_is_set_aside_names_its_pipeline() {
        assert_eq!(parse_aside(&aside("acme", "orders")), Some(("acme", "orders")));
        assert_eq!(parse_aside(&parked("acme", "orders", "in")), None);
    }

    #[test]
    fn a_request_to_watch_names_its_pipeline() {
        assert_eq!(parse_tap(tap("acme", "orders").as_bytes()), Some(("acme", "orders")));
        assert_eq!(parse_tap(tapped("acme", "orders", "x").as_bytes()), None);
    }

    #[test]
    fn a_customer_keeps_its_lane() {
        assert_eq!(lane_of("acme", 4), lane_of("acme", 4));
        assert!(
            (0..100).map(|i| lane_of(&format!("customer-{i}"), 4)).collect::<std::collections::HashSet<_>>().len() == 4
        );
        assert_eq!(lane_of("acme", 0), 0);
    }

    #[test]
    fn a_backlog_finds_its_tier() {
        assert_eq!([1, 1_000, 1_001, 99_999].map(|n| tier_for(n).0), ["t1000", "t1000", "t10000", "t10000"]);
        assert_eq!(stream(LaneType::Logic, "t1000", &Lane::Shared(0)), "VRSKY_LOGIC_T1000_0");
    }
}
