//! What is parked of queues that were just opened.

use super::*;
use crate::engine::delivery::breaker::Phase;

/// Installs a pipeline with so many outs, of which nothing is known; gives what is to be done then.
fn install(world: &mut World, outs: usize) -> Vec<Effect> {
    let revision = world.registry.install(&prepared(&file("beta", &json!({}), outs), &world.settings), Vec::new()).0;
    finish(world);
    world.delivery.install(&mut world.settlement, &revision, false);
    effects(world)
}

/// Until no queue is new.
fn finish(world: &mut World) {
    while let Some(queues) = world.delivery.begin_first_polls() {
        let World { delivery, settlement, consumers, .. } = world;
        delivery.on_first_polls(settlement, consumers, queues, Some(&BTreeMap::new()));
    }
    effects(world);
}

fn effects(world: &mut World) -> Vec<Effect> {
    let mut effects = Vec::new();
    world.delivery.take_effects(&mut effects);
    effects
}

fn supervised(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Supervise { .. })).count()
}

fn phases(world: &World) -> BTreeMap<String, Phase> {
    let queues = world.delivery.queues.values().filter(|queue| queue.revision.owner.customer() == "beta");
    queues.map(|queue| (queue.name().to_owned(), queue.phase())).collect()
}

#[test]
fn one_answer_tells_of_all_of_them_and_one_task_is_started_for_the_one_that_has_parked_messages() {
    run(async || {
        let mut world = World::new(&json!({}));
        let wanted = install(&mut world, 20);
        assert_eq!(wanted.iter().filter(|effect| matches!(effect, Effect::PollNew)).count(), 1);
        assert_eq!(supervised(&wanted), 0);
        let queues = world.delivery.begin_first_polls().unwrap();
        let stored = BTreeMap::from([("vrsky.parked.beta.orders.erp7".to_owned(), 5)]);
        let World { delivery, settlement, consumers, .. } = &mut world;
        delivery.on_first_polls(settlement, consumers, queues, Some(&stored));
        assert_eq!(supervised(&effects(&mut world)), 1);
        let phases = phases(&world);
        assert_eq!(phases.values().filter(|phase| **phase == Phase::Closed).count(), 19);
        assert_eq!(phases["erp7"], Phase::Closing);
        assert!(world.delivery.begin_first_polls().is_none());
    });
}

#[test]
fn each_asks_for_itself_when_there_are_few_or_when_the_server_does_not_tell() {
    run(async || {
        let mut world = World::new(&json!({}));
        install(&mut world, 3);
        assert!(world.delivery.begin_first_polls().is_none());
        assert_eq!(supervised(&effects(&mut world)), 3);

        install(&mut world, 20);
        let queues = world.delivery.begin_first_polls().unwrap();
        let World { delivery, settlement, consumers, .. } = &mut world;
        delivery.on_first_polls(settlement, consumers, queues, None);
        assert_eq!(supervised(&effects(&mut world)), 20);
    });
}
