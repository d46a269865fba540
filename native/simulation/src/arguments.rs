//! The command line.

pub const HELP: &str = "\
Runs the engine in simulated worlds, one for each seed, and checks what docs/delivery.md promises.

  simulate [--seeds N] [--from N] [--threads N]   N seeds, 2000 unless told otherwise, from 0, on 2 threads
  simulate --seed N                               one seed, and what happens in it

Exit codes: 0 when every promise was kept, 1 when one was not, 2 for arguments that are none.
";

/// Which seeds.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    pub from: u64,
    pub seeds: u64,
    pub threads: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    Help,
    One(u64),
    Many(Arguments),
}

impl Arguments {
    /// # Errors
    /// What is no argument, or no number.
    pub fn read(mut arguments: impl Iterator<Item = String>) -> Result<Wanted, String> {
        let mut many = Arguments { from: 0, seeds: 2_000, threads: 2 };
        let mut one = None;
        while let Some(name) = arguments.next() {
            if name == "--help" || name == "-h" {
                return Ok(Wanted::Help);
            }
            let value = arguments.next().and_then(|value| value.parse().ok());
            let value = value.ok_or_else(|| format!("{name} needs a number"))?;
            match name.as_str() {
                "--seed" => one = Some(value),
                "--seeds" => many.seeds = value,
                "--from" => many.from = value,
                "--threads" => many.threads = value.clamp(1, 256),
                _ => return Err(format!("there is no {name}")),
            }
        }
        Ok(one.map_or(Wanted::Many(many), Wanted::One))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Wanted, String> {
        Arguments::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_are_read_and_what_is_none_is_named() {
        assert_eq!(read("--seed 7"), Ok(Wanted::One(7)));
        assert_eq!(read("--seeds 9 --from 3"), Ok(Wanted::Many(Arguments { from: 3, seeds: 9, threads: 2 })));
        assert_eq!(
            (read("--seeds 1 --help"), read("--seed x")),
            (Ok(Wanted::Help), Err("--seed needs a number".into()))
        );
        assert_eq!(read("--sed 1"), Err("there is no --sed".into()));
    }
}
