//! Every family of the page: its name, what it means, where its values come from. README.md has the same names in a table, and a
//! test compares the two.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use super::cell::{Distribution, MOMENTS, WAITS};
use super::control::{
    IssuerFigures, Latency, LoginCounters, ReloadCounters, Reloads, SigningKeyFigures, WriteCounters,
};
use super::page::{Format, Page};
use super::process::Process;
use super::series::Series;
use super::server::ServerFigures;
use super::worker::{Protocol, Totals, WorkerCounters};
use crate::clock::UnixTime;
use crate::observe::audit::AuditCounters;

/// Where the figures of a page come from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// All workers.
    pub workers: &'a [Arc<WorkerCounters>],
    /// The counters of the present snapshot.
    pub series: Arc<Series>,
    /// A few characters that differ when the configuration does.
    pub config_hash: &'a str,
    /// Reloads.
    pub reloads: &'a ReloadCounters,
    /// Logins.
    pub logins: &'a LoginCounters,
    /// How long passwords wait until they are hashed.
    pub hashing_waits: &'a Latency,
    /// Passwords that are being hashed or wait for it.
    pub hashing_jobs: usize,
    /// Users, sessions and tokens that are refused.
    pub revocations: usize,
    /// The signing keys.
    pub signing_keys: SigningKeyFigures,
    /// The keys of the foreign issuers.
    pub issuers: Vec<IssuerFigures>,
    /// Writes to the store.
    pub writes: &'a WriteCounters,
    /// Whether the store accepts writes.
    pub writable: bool,
    /// Audit records; `None` if there is no audit log.
    pub audit: Option<&'a AuditCounters>,
    /// Whether the audit log can be written.
    pub auditable: bool,
    /// When the process started.
    pub started: UnixTime,
    /// Now.
    pub now: Instant,
}

/// Writes the page.
///
/// # Errors
/// None that is known of: a page is written into memory.
pub fn render(sources: &Sources<'_>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Readings::take(sources, format)));
    let mut page = String::new();
    text::encode_registry(&mut page, &registry)?;
    if format == Format::OpenMetrics {
        text::encode_eof(&mut page)?;
    }
    Ok(page)
}

/// All figures at one moment.
#[derive(Debug)]
struct Readings {
    format: Format,
    totals: Totals,
    series: Arc<Series>,
    since_epoch: Duration,
    config_hash: String,
    reloads: Reloads,
    logins: Vec<(&'static str, u64)>,
    hashing: (u64, Distribution),
    revocations: u64,
    signing_keys: SigningKeyFigures,
    issuers: Vec<IssuerFigures>,
    writes: (Distribution, u64),
    writable: bool,
    audit: Option<[(&'static str, u64); 3]>,
    auditable: bool,
    process: Process,
    started: UnixTime,
}

impl Readings {
    fn take(sources: &Sources<'_>, format: Format) -> Self {
        Self {
            format,
            totals: Totals::of(sources.workers),
            series: sources.series.clone(),
            since_epoch: sources.series.since_epoch(sources.now),
            config_hash: sources.config_hash.to_owned(),
            reloads: sources.reloads.read(),
            logins: sources.logins.read(),
            hashing: (sources.hashing_jobs as u64, sources.hashing_waits.read()),
            revocations: sources.revocations as u64,
            signing_keys: sources.signing_keys,
            issuers: sources.issuers.clone(),
            writes: sources.writes.read(),
            writable: sources.writable,
            audit: sources.audit.map(AuditCounters::read),
            auditable: sources.auditable,
            process: Process::read(),
            started: sources.started,
        }
    }
}

impl Collector for Readings {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder, format: self.format };
        self.requests(&mut page)?;
        self.connections(&mut page)?;
        self.tokens(&mut page)?;
        self.issuers(&mut page)?;
        self.logins(&mut page)?;
        self.upstreams(&mut page)?;
        self.servers(&mut page)?;
        self.store(&mut page)?;
        self.audit(&mut page)?;
        self.configuration(&mut page)?;
        self.process(&mut page)
    }
}

impl Readings {
    fn requests(&self, page: &mut Page<'_>) -> fmt::Result {
        let routes = self.series.routes();
        let requests = routes.iter().flat_map(|route| {
            let labels = |method, class| [("route", &*route.name), ("method", method), ("status", class)];
            route.requests().map(move |(method, class, count)| (labels(method, class), count))
        });
        page.counters("portcullis_requests_total", "Requests that have ended.", requests)?;
        page.histograms(
            "portcullis_request_duration_seconds",
            "From the head of a request to the last byte of its response, or to the handshake of a WebSocket.",
            &WAITS,
            routes.iter().map(|route| ([("route", &*route.name)], route.duration())),
        )?;
        page.gauge(
            "portcullis_requests_in_flight",
            "Requests that have not ended, open WebSockets included.",
            self.totals.in_flight,
        )?;
        page.counters(
            "portcullis_refusals_total",
            "Requests that the gateway answered with an error of its own.",
            self.totals.refusals.iter().map(|(word, count)| ([("reason", *word)], *count)),
        )?;
        page.histogram(
            "portcullis_authentication_duration_seconds",
            "From the head of a request to the decision about its token.",
            &MOMENTS,
            &self.totals.authentication,
        )
    }

    fn connections(&self, page: &mut Page<'_>) -> fmt::Result {
        let by_protocol = |of: fn(&(u64, u64)) -> u64| {
            let all = Protocol::ALL.into_iter().zip(&self.totals.connections);
            all.map(move |(protocol, counts)| ([("protocol", protocol.name())], of(counts)))
        };
        page.gauges("portcullis_connections_open", "Client connections.", by_protocol(|(open, _)| *open))?;
        page.counters(
            "portcullis_connections_accepted_total",
            "Client connections, once it is known what they speak.",
            by_protocol(|(_, accepted)| *accepted),
        )
    }

    fn tokens(&self, page: &mut Page<'_>) -> fmt::Result {
        let totals = &self.totals;
        page.counter("portcullis_token_cache_hits_total", "Tokens found in the cache.", totals.hits)?;
        page.counter("portcullis_token_cache_misses_total", "Tokens verified anew.", totals.misses)?;
        page.gauge("portcullis_token_cache_entries", "Tokens in the caches of all workers.", totals.entries)?;
        page.gauge("portcullis_token_cache_bytes", "Memory of these caches.", totals.bytes)?;
        page.gauge(
            "portcullis_revocations",
            "Users, sessions and tokens that are refused.",
            self.revocations,
        )?;
        let SigningKeyFigures { count, active_since, rotations } = self.signing_keys;
        page.gauge("portcullis_signing_keys", "Keys that tokens are verified with.", count)?;
        page.gauge(
            "portcullis_signing_key_active_since_timestamp_seconds",
            "Since when the present key signs.",
            timestamp(active_since),
        )?;
        page.counter(
            "portcullis_signing_key_rotations_total",
            "How often another key began to sign.",
            rotations,
        )
    }

    fn issuers(&self, page: &mut Page<'_>) -> fmt::Result {
        let looks = self.issuers.iter().flat_map(|it| {
            let labels = |outcome| [("issuer", it.name.as_str()), ("outcome", outcome)];
            [(labels("success"), it.found), (labels("failed"), it.failed)]
        });
        page.counters("portcullis_issuer_fetches_total", "Looks for the keys of a foreign issuer.", looks)?;
        let keys = self.issuers.iter().map(|it| ([("issuer", it.name.as_str())], it.keys));
        page.gauges("portcullis_issuer_keys", "Keys that its tokens are verified with.", keys)?;
        let seen = self.issuers.iter().filter_map(|it| Some(([("issuer", it.name.as_str())], it.seen?)));
        page.gauges(
            "portcullis_issuer_keys_seen_timestamp_seconds",
            "When its keys were last found.",
            seen.map(|(labels, seen)| (labels, timestamp(seen))),
        )
    }

    fn logins(&self, page: &mut Page<'_>) -> fmt::Result {
        let logins = self.logins.iter().map(|(outcome, count)| ([("outcome", *outcome)], *count));
        page.counters("portcullis_logins_total", "Logins with a password.", logins)?;
        let (jobs, waits) = &self.hashing;
        page.gauge("portcullis_hashing_jobs", "Passwords that are being hashed or wait for it.", *jobs)?;
        page.histogram(
            "portcullis_hashing_wait_seconds",
            "How long a password waits until it is hashed.",
            &WAITS,
            waits,
        )
    }

    fn upstreams(&self, page: &mut Page<'_>) -> fmt::Result {
        let upstreams = self.series.upstreams();
        page.histograms(
            "portcullis_upstream_duration_seconds",
            "From the decision to forward to the head of the response, connecting included.",
            &WAITS,
            upstreams.iter().map(|upstream| ([("upstream", &*upstream.name)], upstream.duration())),
        )?;
        page.counters(
            "portcullis_upstream_failures_total",
            "Requests that got no answer from the upstream.",
            upstreams.iter().map(|upstream| ([("upstream", &*upstream.name)], upstream.failures())),
        )
    }

    fn servers(&self, page: &mut Page<'_>) -> fmt::Result {
        let servers = self.series.servers();
        let figures: Vec<_> = servers
            .iter()
            .map(|server| ([("server", &*server.name)], server.figures(self.since_epoch)))
            .collect();
        let each = |of: fn(&ServerFigures) -> u64| figures.iter().map(move |(labels, it)| (*labels, of(it)));
        page.counters("portcullis_server_picks_total", "Requests sent to the server.", each(|it| it.picks))?;
        page.counters(
            "portcullis_server_connect_failures_total",
            "Connections that the server did not take.",
            each(|it| it.failures),
        )?;
        page.counters(
            "portcullis_server_connections_opened_total",
            "Connections to it.",
            each(|it| it.opened),
        )?;
        page.gauges("portcullis_server_connections_open", "Connections to it now.", each(|it| it.open))?;
        page.gauges("portcullis_server_connections_idle", "Those without a request.", each(|it| it.idle))?;
        page.gauges(
            "portcullis_server_resting",
            "Workers that leave it out after a failure, if it is not the only one of its upstream.",
            each(|it| it.resting),
        )
    }

    fn store(&self, page: &mut Page<'_>) -> fmt::Result {
        let (latency, failures) = &self.writes;
        page.histogram(
            "portcullis_store_write_duration_seconds",
            "Until a change is safe from a power cut.",
            &WAITS,
            latency,
        )?;
        page.counter(
            "portcullis_store_write_failures_total",
            "Changes that could not be made safe.",
            *failures,
        )?;
        page.gauge("portcullis_store_writable", "1, or 0 after a failure.", u64::from(self.writable))
    }

    fn audit(&self, page: &mut Page<'_>) -> fmt::Result {
        let counts = self.audit.into_iter().flatten().map(|(outcome, count)| ([("outcome", outcome)], count));
        page.counters("portcullis_audit_records_total", "Audit records, by what became of them.", counts)?;
        page.gauge(
            "portcullis_audit_writable",
            "1, or 0 while the disk takes none.",
            u64::from(self.auditable),
        )
    }

    fn configuration(&self, page: &mut Page<'_>) -> fmt::Result {
        let reloads = &self.reloads;
        let outcomes =
            [([("outcome", "success")], reloads.succeeded), ([("outcome", "failed")], reloads.failed)];
        page.counters("portcullis_reloads_total", "Reloads of the configuration.", outcomes)?;
        page.gauge("portcullis_last_reload_successful", "1, or 0.", u64::from(reloads.last_succeeded))?;
        page.gauge(
            "portcullis_last_reload_success_timestamp_seconds",
            "When the present configuration was loaded.",
            timestamp(reloads.last_success),
        )?;
        let hash = ("hash", self.config_hash.as_str());
        page.info("portcullis_config_info", "The present configuration, defaults included.", hash)?;
        page.info("portcullis_build_info", "This binary.", ("version", env!("CARGO_PKG_VERSION")))
    }

    fn process(&self, page: &mut Page<'_>) -> fmt::Result {
        let process = &self.process;
        page.counter("process_cpu_seconds_total", "User and system time.", process.cpu)?;
        page.gauge_if_known("process_resident_memory_bytes", "Resident memory.", process.resident)?;
        page.gauge_if_known("process_virtual_memory_bytes", "Virtual memory.", process.virtual_memory)?;
        page.gauge_if_known("process_open_fds", "Open file descriptors.", process.open_files)?;
        page.gauge_if_known("process_max_fds", "File descriptors that may be open.", process.max_files)?;
        page.gauge("process_start_time_seconds", "When the gateway started.", timestamp(self.started))
    }
}

fn timestamp(time: UnixTime) -> f64 {
    time.as_millis() as f64 / 1000.0
}
