//! What the operator of a node lets pipeline files ask for.

use message::{Code, Fault};
use serde::{Deserialize, Serialize};

use super::Limits;

/// The most that a pipeline file may ask for. One that asks for more is refused: limits protect its own customer,
/// ceilings all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ceilings {
    /// Of `limits.script.cpu_ms`, milliseconds: other customers wait that long for a script that overruns.
    pub cpu_ms: u32,
    /// Of `limits.script.memory_mb`, MiB.
    pub memory_mb: u32,
    /// Of `limits.fuel`: a shard serves nobody else while an expression runs.
    pub fuel: u32,
}

impl Default for Ceilings {
    fn default() -> Self {
        Ceilings { cpu_ms: 100, memory_mb: 256, fuel: 1_000_000 }
    }
}

impl Ceilings {
    /// The lowest ones: what a pipeline file gets that asks for nothing.
    #[must_use]
    pub fn least() -> Ceilings {
        let limits = Limits::default();
        Ceilings { cpu_ms: limits.script.cpu_ms, memory_mb: limits.script.memory_mb, fuel: limits.fuel }
    }

    /// `config/above-ceiling` for each limit that is too high, with its pointer.
    #[must_use]
    pub fn faults(&self, limits: &Limits) -> Vec<Fault> {
        let all = [
            ("script/cpu_ms", limits.script.cpu_ms, self.cpu_ms, "--max-cpu-ms"),
            ("script/memory_mb", limits.script.memory_mb, self.memory_mb, "--max-memory-mb"),
            ("fuel", limits.fuel, self.fuel, "--max-fuel"),
        ];
        let above = all.into_iter().filter(|(_, asked, ceiling, _)| asked > ceiling);
        let fault = |(key, asked, ceiling, option): (&str, u32, u32, &str)| {
            let name = key.replace('/', ".");
            let reason = format!(
                "`limits.{name}` is {asked}, above the ceiling of this node, {ceiling}, which its operator sets by {option}"
            );
            Fault::new(Code::ConfigAboveCeiling, reason).at_pointer(format!("/limits/{key}"))
        };
        above.map(fault).collect()
    }

    /// # Errors
    /// The first of [`Ceilings::faults`].
    pub fn check(&self, limits: &Limits) -> Result<(), Fault> {
        self.faults(limits).into_iter().next().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_above_its_ceiling_is_named_with_its_place_and_who_can_change_it() {
        let mut limits = Limits::default();
        let ceilings = Ceilings { cpu_ms: 20, memory_mb: 64, fuel: 200_000 };
        (limits.script.cpu_ms, limits.script.memory_mb, limits.fuel) = (20, 64, 200_000);
        assert_eq!(ceilings.faults(&limits), []);
        assert!(ceilings.check(&limits).is_ok());
        (limits.script.cpu_ms, limits.script.memory_mb, limits.fuel) = (21, 65, 200_001);
        let faults = ceilings.faults(&limits);
        let pointers: Vec<_> =
            faults.iter().map(|fault| fault.place().pointer.as_deref().unwrap_or_default()).collect();
        assert_eq!(pointers, ["/limits/script/cpu_ms", "/limits/script/memory_mb", "/limits/fuel"]);
        assert!(faults.iter().all(|fault| fault.code() == Code::ConfigAboveCeiling));
        assert_eq!(
            faults[0].reason(),
            "`limits.script.cpu_ms` is 21, above the ceiling of this node, 20, which its operator sets by --max-cpu-ms"
        );
        assert_eq!(ceilings.check(&limits).unwrap_err().place().pointer.as_deref(), Some("/limits/script/cpu_ms"));
    }

    #[test]
    fn who_names_no_limits_is_below_all_default_ceilings() {
        assert_eq!(Ceilings::default().faults(&Limits::default()), []);
    }
}
