//! The servers of an upstream, and whose turn it is.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::http1::Workspace;
use super::server::Server;
use crate::config;
use crate::observe::metrics::{ServerMeter, server_key};
use crate::spare::Spares;

/// An upstream as one worker sees it: shared by nobody, so its counters cost no cache line of another core.
#[derive(Debug)]
pub struct Upstream {
    settings: config::Upstream,
    servers: Vec<Arc<Server>>,
    turn: AtomicUsize,
    workspaces: Arc<Spares<Box<Workspace>>>,
}

impl Upstream {
    /// The configured times.
    #[must_use]
    pub fn settings(&self) -> &config::Upstream {
        &self.settings
    }

    /// All servers, beginning with the one whose turn it is; those that rest are left out. A single server never rests: there is
    /// nothing better to try.
    pub(super) fn candidates(&self, now: Instant) -> impl Iterator<Item = &Arc<Server>> {
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.servers.len();
        let in_turn = (0..count).filter_map(move |step| self.servers.get(start.wrapping_add(step) % count));
        in_turn.filter(move |server| count == 1 || !server.rests(now))
    }

    /// What an exchange works with.
    pub(super) fn workspace(&self) -> Box<Workspace> {
        self.workspaces.take()
    }

    /// Whether there is more than one server.
    pub(super) fn is_set(&self) -> bool {
        self.servers.len() > 1
    }
}

/// Servers that [`Round::go_on`] looks at in one go. Each of thousands takes 0.16 µs, and meanwhile no request gets on.
const LOOKS: usize = 1000;

/// A round over all servers of some upstreams that closes what has been idle for too long, some servers at a time.
#[derive(Debug, Default)]
pub struct Round {
    /// Servers that it has looked at.
    looks: usize,
    /// Whether there is, or may be, something for the next round.
    found: bool,
}

impl Round {
    /// Closes the connections to the next servers that have been idle for longer than their `idle_timeout`, or were closed by the
    /// server. Returns whether there is more to do, now or later: `false` after a whole round that has found nothing, and in which
    /// nobody has been `busy` with leaving connections behind it.
    pub fn go_on(&mut self, upstreams: &[Arc<Upstream>], now: Instant, busy: bool) -> bool {
        self.found |= busy;
        let before = self.looks;
        let all = upstreams
            .iter()
            .flat_map(|upstream| upstream.servers.iter().map(move |server| (upstream, server)));
        for (upstream, server) in all.skip(before).take(LOOKS) {
            self.looks += 1;
            self.found |= server.close_idle(now, upstream.settings.idle_timeout);
        }
        self.looks == before + LOOKS || std::mem::take(self).found
    }
}

/// All servers that a worker knows. Outlives a reload, and with it the idle connections.
#[derive(Debug, Default)]
pub struct UpstreamSet {
    servers: HashMap<String, Arc<Server>>,
    workspaces: Arc<Spares<Box<Workspace>>>,
}

impl UpstreamSet {
    /// The upstreams of a configuration, in its order, over the servers that are known already. Servers that no upstream names any
    /// more are forgotten; requests that are on their way to one keep it alive. `meter` gives what a new one counts with.
    pub fn build(
        &mut self,
        upstreams: &[config::Upstream],
        meter: impl Fn(&str) -> Option<ServerMeter>,
    ) -> Vec<Arc<Upstream>> {
        let mut known = HashMap::new();
        let built = upstreams.iter().map(|settings| {
            let servers = settings.servers.iter().map(|authority| {
                let key = server_key(authority);
                let old = self.servers.remove(&key);
                let server = known.entry(key.clone()).or_insert_with(|| {
                    old.unwrap_or_else(|| {
                        let meter = meter(&key);
                        Arc::new(Server::new(key, meter, self.workspaces.clone()))
                    })
                });
                Arc::clone(server)
            });
            Arc::new(Upstream {
                settings: settings.clone(),
                servers: servers.collect(),
                turn: AtomicUsize::default(),
                workspaces: self.workspaces.clone(),
            })
        });
        let built = built.collect();
        self.servers = known;
        built
    }

    /// Frees memory that exchanges have not needed lately, and returns whether they left some.
    pub fn trim(&self) -> bool {
        self.workspaces.trim()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::super::http1::{Connection, Socket, Workspace};
    use super::super::server::{COOL_DOWN, Server};
    use super::{LOOKS, Round, UpstreamSet};
    use crate::clock;
    use crate::config;

    fn settings(servers: &[&str]) -> config::Upstream {
        let second = Duration::from_secs(1);
        config::Upstream {
            name: "u".parse().unwrap(),
            servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
            connect_timeout: second,
            response_timeout: second,
            idle_timeout: second,
        }
    }

    #[test]
    fn servers_take_turns_and_a_resting_one_is_left_out() {
        let now = clock::monotonic();
        let upstream = UpstreamSet::default().build(&[settings(&["a:1", "b:2", "c:3"])], |_| None).remove(0);
        let order = |now| {
            upstream.candidates(now).map(|server| server.authority.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!([order(now), order(now)], ["a:1 b:2 c:3", "b:2 c:3 a:1"]);
        upstream.servers[1].rest(now);
        assert_eq!(order(now), "c:3 a:1");
        assert_eq!(order(now + COOL_DOWN), "a:1 b:2 c:3");
    }

    #[test]
    fn a_single_server_never_rests() {
        let now = clock::monotonic();
        let upstream = UpstreamSet::default().build(&[settings(&["a"])], |_| None).remove(0);
        upstream.servers[0].rest(now);
        assert_eq!(&*upstream.candidates(now).next().unwrap().authority, "a:80");
    }

    /// Leaves an idle connection to the server behind. Returns its other end.
    async fn leave(server: &Server, now: Instant) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = Socket::new(stream, None).unwrap();
        server.give_back(Connection::new(socket, Box::<Workspace>::default()), now);
        listener.accept().await.unwrap().0
    }

    #[tokio::test]
    async fn a_round_over_many_servers_is_made_in_parts() {
        let servers: Vec<String> = (0..2 * LOOKS + 1).map(|index| format!("s{index}:1")).collect();
        let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
        let upstreams = UpstreamSet::default().build(&[settings(&["a:1"]), settings(&servers)], |_| None);
        let (mut round, now) = (Round::default(), clock::monotonic());
        let mut whole = |busy: bool, now| {
            let parts = [busy, false, false].map(|busy| round.go_on(&upstreams, now, busy));
            assert_eq!(parts[..2], [true, true], "there are more servers");
            parts[2]
        };
        assert!(!whole(false, now), "nothing is idle");
        assert!(whole(true, now), "somebody may leave a connection to a server that is behind us");
        let mut peer = leave(&upstreams[1].servers[2 * LOOKS], now).await;
        assert!(whole(false, now), "it stays");
        assert!(!whole(false, now + upstreams[1].settings().idle_timeout), "nothing is left");
        assert_eq!(peer.read(&mut [0]).await.unwrap(), 0, "it is closed");
    }

    #[tokio::test]
    async fn a_connection_that_was_idle_for_too_long_is_not_used_if_it_is_still_there() {
        let upstream = UpstreamSet::default().build(&[settings(&["a:1"])], |_| None).remove(0);
        let (server, limit) = (&upstream.servers[0], upstream.settings().idle_timeout);
        let now = clock::monotonic();
        let _peers = (leave(server, now).await, leave(server, now).await);
        assert!(server.take(now, limit).is_some());
        assert!(server.take(now + limit, limit).is_none());
    }

    #[test]
    fn a_reload_keeps_the_servers_that_stay() {
        let mut set = UpstreamSet::default();
        let before = set.build(&[settings(&["a:1", "b:2"])], |_| None).remove(0);
        let after = set.build(&[settings(&["b:2", "c:3"])], |_| None).remove(0);
        assert!(std::sync::Arc::ptr_eq(&before.servers[1], &after.servers[0]));
    }
}
