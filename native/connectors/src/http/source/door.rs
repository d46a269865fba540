//! The open connections: how many there may be, and whose one ends when they are too many.
//!
//! When there is no room, an idle connection ends for the new one: first those whose request is refused and whose body
//! has not come yet, then those that have sent no whole head of a request (anybody can open both), then those whose body
//! comes too slowly. Of these it is the oldest one of the peer that has the most.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;

use tokio::sync::Notify;

use super::activity::{Activity, Idleness};
use super::shares::{ShareId, Shares, is_fair};

#[derive(Default)]
pub(super) struct Door {
    /// In the order in which they came.
    open: RefCell<BTreeMap<u64, Guest>>,
    peers: RefCell<Shares<IpAddr>>,
    last: Cell<u64>,
    /// Rung when one has ended.
    ended: Notify,
}

struct Guest {
    share: ShareId,
    activity: Rc<Activity>,
}

/// A connection; it counts until this is dropped.
pub(super) struct Open {
    door: Rc<Door>,
    number: u64,
    pub(super) activity: Rc<Activity>,
}

impl Door {
    pub(super) fn open(&self) -> usize {
        self.open.borrow().len()
    }

    pub(super) async fn all_ended(&self) {
        while self.open() > 0 {
            self.ended.notified().await;
        }
    }

    /// `None` when `most` are open already, or too many of this peer, and none of them is idle.
    pub(super) fn enter(self: &Rc<Door>, peer: IpAddr, most: usize) -> Option<Open> {
        let share = self.peers.borrow_mut().of(&peer);
        let has_room = || is_fair(self.peers.borrow().units(share), 1, most.saturating_sub(self.open()));
        let is_full = self.open() >= most;
        // Nobody misses these: as many as it takes end for whoever has some connections already.
        while !has_room() && self.evict_one(Idleness::Refused, None) {}
        let makes_room = has_room() || is_full && self.evict(None) && has_room() || self.evict(Some(share));
        if !makes_room {
            return None;
        }
        self.peers.borrow_mut().add_unit(share);
        self.last.set(self.last.get() + 1);
        let (number, activity) = (self.last.get(), Rc::new(Activity::new()));
        self.open.borrow_mut().insert(number, Guest { share, activity: Rc::clone(&activity) });
        Some(Open { door: Rc::clone(self), number, activity })
    }

    /// Ends an idle connection of this peer, or of all; `false` when none is idle.
    fn evict(&self, of: Option<ShareId>) -> bool {
        [Idleness::Refused, Idleness::Idle, Idleness::Slow].into_iter().any(|kind| self.evict_one(kind, of))
    }

    fn evict_one(&self, kind: Idleness, of: Option<ShareId>) -> bool {
        let Some(guest) = self.oldest(kind, of).and_then(|number| self.leave(number)) else { return false };
        guest.activity.evict();
        true
    }

    /// The oldest one of this kind: of a peer, else of the one that has the most.
    fn oldest(&self, kind: Idleness, of: Option<ShareId>) -> Option<u64> {
        let open = self.open.borrow();
        let idle = || open.iter().filter(|(_, guest)| guest.activity.idleness() == Some(kind));
        let mut counts = BTreeMap::new();
        idle().for_each(|(_, guest)| *counts.entry(guest.share).or_insert(0_usize) += 1);
        let most = counts.iter().max_by_key(|(_, count)| **count).map(|(share, _)| *share);
        let share = of.or(most)?;
        idle().find(|(_, guest)| guest.share == share).map(|(number, _)| *number)
    }

    fn leave(&self, number: u64) -> Option<Guest> {
        let guest = self.open.borrow_mut().remove(&number)?;
        self.peers.borrow_mut().release(guest.share, 0);
        Some(guest)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.door.leave(self.number);
        self.door.ended.notify_one();
    }
}
