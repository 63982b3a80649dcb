//! Keeps a flood of failures from filling the disk, or from pushing what matters out of the files that are kept.
//!
//! In each minute the first [`EACH`] failures of a network and the first [`ALL`] of all networks have a record of their own. Those
//! that follow are counted, and when the minute is over, one record for each network says how many there were.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::event::{Action, Actor, Event, Origin, Outcome};
use crate::clock::UnixTime;

/// How long is counted.
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// Records of one network in that time.
const EACH: u64 = 10;
/// Records of all networks in that time. It bounds the number of networks that are remembered, too.
const ALL: u64 = 300;

/// What becomes of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It has a record of its own.
    Alone,
    /// It is counted.
    Counted,
}

/// Failures that have no record of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    /// From where; `None` for all networks that are not named.
    pub(super) network: Option<IpAddr>,
    /// What was tried, and what came of it. Failures of one network that differ in that are counted apart.
    pub(super) what: (Action, Outcome),
    /// How many.
    pub(super) count: u64,
}

impl Counted {
    /// The event that stands for them.
    pub(super) fn event(&self, now: UnixTime) -> Event {
        let (action, outcome) = self.what;
        let reason = match self.network {
            Some(_) => "more of the same within a minute, from this network",
            None => "more of the same within a minute, from many networks",
        };
        let event = Event::refused(action, reason, now).by(Actor::Anonymous);
        let origin = self.network.map(|client| Origin { client, request_id: None });
        Event { outcome, origin, count: self.count, ..event }
    }
}

/// The present minute.
#[derive(Debug, Default)]
pub(super) struct Flood {
    ends: Option<Instant>,
    alone: u64,
    /// Records of their own, by network.
    networks: HashMap<IpAddr, u64>,
    counted: HashMap<(Option<IpAddr>, Action, Outcome), u64>,
}

impl Flood {
    /// A failure has come from this address. Call [`Self::take_due`] before.
    pub(super) fn admit(&mut self, client: IpAddr, what: (Action, Outcome), now: Instant) -> Admission {
        self.ends.get_or_insert(now + MINUTE);
        let network = network_of(client);
        let known = self.networks.get(&network).copied();
        if self.alone < ALL && known.unwrap_or_default() < EACH {
            self.alone += 1;
            *self.networks.entry(network).or_default() += 1;
            return Admission::Alone;
        }
        let named = known.map(|_| network);
        *self.counted.entry((named, what.0, what.1)).or_default() += 1;
        Admission::Counted
    }

    /// When the minute is over; `None` while there is none.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// What was counted, if the minute is over.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Counted> {
        if self.ends.is_some_and(|ends| now >= ends) { self.take() } else { Vec::new() }
    }

    /// What was counted. A new minute begins with the next failure.
    pub(super) fn take(&mut self) -> Vec<Counted> {
        let counted = std::mem::take(self).counted;
        let counted = counted.into_iter();
        counted
            .map(|((network, action, outcome), count)| Counted { network, what: (action, outcome), count })
            .collect()
    }
}

/// Whoever has one IPv6 address has the 2^64 of its network.
fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{ALL, Admission, Counted, EACH, Flood, MINUTE};
    use crate::clock;
    use crate::observe::audit::{Action, Outcome};

    const LOGIN: (Action, Outcome) = (Action::Login, Outcome::Refused);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_failures_of_a_network_stand_alone_and_the_rest_is_counted() {
        let (mut flood, now) = (Flood::default(), clock::monotonic());
        let same = ["2001:db8::1", "2001:db8::ffff:2"].map(address);
        for number in 0..EACH + 5 {
            let admission = flood.admit(same[number as usize % 2], LOGIN, now);
            assert_eq!(admission == Admission::Alone, number < EACH, "{number}");
        }
        assert_eq!(flood.admit(address("192.0.2.1"), LOGIN, now), Admission::Alone);
        assert_eq!(flood.take_due(now + MINUTE / 2), []);
        let network = Some(address("2001:db8::"));
        assert_eq!(flood.take_due(now + MINUTE), [Counted { network, what: LOGIN, count: 5 }]);
        assert_eq!(flood.ends(), None);
        assert_eq!(flood.admit(same[0], LOGIN, now + MINUTE), Admission::Alone);
    }

    #[test]
    fn many_networks_share_a_bound() {
        let (mut flood, now) = (Flood::default(), clock::monotonic());
        let alone = (0..100_000_u32)
            .filter(|&bits| flood.admit(IpAddr::V4(bits.into()), LOGIN, now) == Admission::Alone)
            .count();
        assert_eq!(alone as u64, ALL);
        assert_eq!(flood.networks.len() as u64, ALL);
        assert_eq!(flood.take(), [Counted { network: None, what: LOGIN, count: 100_000 - ALL }]);
    }
}
