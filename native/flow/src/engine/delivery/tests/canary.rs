//! What an out refuses counts against the revision that has made it.

use super::*;
use crate::engine::canary::CANARY;
use crate::engine::observe::Role;

/// The world's revision with a canary; the canary's name.
fn with_canary(world: &mut World) -> String {
    let mut changed = file("acme", &json!({}), 1);
    changed["limits"] = json!({"outputs": 9});
    let canary = Pipeline::from_json(&changed.to_string(), &()).unwrap();
    let name = canary.revision().to_owned();
    let active = prepared(&file("acme", &json!({}), 1), &world.settings);
    let prepared = active.with_canary(canary, 500_000, None).unwrap();
    world.revision = world.registry.install(&prepared, Vec::new()).0;
    world.install();
    name
}

fn failed(world: &World) -> [u64; 2] {
    let trial = world.revision.owner.trial.as_ref().unwrap();
    Role::ALL.map(|role| trial.runs.of(role).failed)
}

fn refused(_: &str) -> Said {
    Said::Permanent(Fault::new(Code::HttpRejected, "400"))
}

#[test]
fn what_an_out_refuses_for_good_counts_against_its_maker() {
    run(async || {
        let mut world = World::new(&json!({}));
        let canary = with_canary(&mut world);
        for (id, maker) in [("1", &*canary), ("2", "an earlier one"), ("3", &canary)] {
            world.accept_with(0, id, &format!("NATS/1.0\r\n{CANARY}: {maker}\r\n\r\n"), b"{}");
        }
        world.accept([4]);
        world.attempt(refused);
        assert_eq!(world.count("vrsky.dead."), 4);
        assert_eq!(failed(&world), [2, 2]);
    });
}
