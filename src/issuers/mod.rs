//! Where the keys of foreign issuers come from. They are fetched, or read from a file, by the control plane alone, and those that were
//! found last serve until others are found: that an issuer cannot be reached is no reason to refuse its tokens. A worker only says
//! that it misses a key ([`Missed`]), and never waits.
//!
//! Who looks when is the business of `app`. What is here outlives a reload, unless that changes where the keys are.

mod discovery;
mod fetch;
mod tls;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::fetch::{FetchError, MAX_DOCUMENT};
use crate::causes::with_causes;
use crate::clock::{self, UnixTime};
use crate::config::{ForeignIssuer, KeySource};
use crate::observe::metrics::IssuerFigures;
use crate::token::{ForeignIssuers, Ignored, KeySet, Missed, Trusted};

/// How often a file is looked at.
const FILE_EVERY: Duration = Duration::from_secs(5);
/// The first pause after a fetch that failed; it doubles with each further one.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest such pause.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// One issuer: its part of the configuration, and what is known of its keys.
#[derive(Debug)]
pub struct Source {
    rules: Arc<ForeignIssuer>,
    missed: Arc<Missed>,
    known: Mutex<Known>,
}

/// What is known of the keys, and how it was learned.
#[derive(Clone, Debug, Default)]
struct Known {
    keys: Option<Arc<KeySet>>,
    /// When they were last seen to be these.
    seen: Option<UnixTime>,
    found: u64,
    failed: u64,
    /// Failures since the last success.
    in_a_row: u32,
    /// What was logged last, so that it is logged once.
    complaint: Option<String>,
}

impl Source {
    /// An issuer whose keys are known if they were before.
    fn new(rules: &ForeignIssuer, before: Option<&Self>) -> Self {
        let same = before.filter(|before| finds_the_same_keys(&before.rules, rules));
        let known = Mutex::new(same.map(|before| before.known().clone()).unwrap_or_default());
        Self { rules: Arc::new(rules.clone()), missed: Arc::default(), known }
    }

    /// The issuer as a verifier sees it now.
    fn trusted(&self) -> Trusted {
        Trusted::new(self.rules.clone(), self.known().keys.clone(), self.missed.clone())
    }

    /// Its part of the configuration.
    #[must_use]
    pub fn rules(&self) -> &ForeignIssuer {
        &self.rules
    }

    /// Waits until a token names a key that is not known.
    pub async fn missed(&self) {
        self.missed.wait().await;
    }

    /// Looks for the keys now. However that ends, it ends within the timeout of the configuration.
    pub async fn look(&self) {
        self.missed.clear();
        let rules = self.rules.clone();
        let looked = match &self.rules.keys {
            KeySource::File(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
                read.unwrap_or_else(|error| Err(FetchError::File(io::Error::other(error))))
            }
            KeySource::Url(_) | KeySource::Discovery(_) => {
                let limit = rules.timeout;
                let fetched = tokio::time::timeout(limit, fetch_keys(&rules)).await;
                fetched.unwrap_or(Err(FetchError::Timeout(limit)))
            }
        };
        self.take(looked);
    }

    /// How long to wait before the next look, if nobody misses a key.
    #[must_use]
    pub fn pause(&self) -> Duration {
        let failures = self.known().in_a_row;
        let usual = self.rules.refresh;
        match (&self.rules.keys, failures) {
            (KeySource::File(_), _) => FILE_EVERY.min(usual),
            (_, 0) => usual,
            (_, _) => FIRST_RETRY.saturating_mul(1 << (failures - 1).min(8)).min(MAX_RETRY).min(usual),
        }
    }

    /// For the metrics.
    #[must_use]
    pub fn figures(&self) -> IssuerFigures {
        let known = self.known();
        IssuerFigures {
            name: self.rules.name.to_string(),
            found: known.found,
            failed: known.failed,
            keys: known.keys.as_ref().map_or(0, |keys| keys.count() as u64),
            seen: known.seen,
        }
    }

    fn take(&self, looked: Result<Vec<u8>, FetchError>) {
        let parsed = looked.and_then(|json| Ok(KeySet::parse(&json, &self.rules.algorithms)?));
        let mut known = self.known();
        match parsed {
            Ok((keys, ignored)) => self.succeed(&mut known, keys, &ignored),
            Err(error) => self.fail(&mut known, with_causes(&error)),
        }
    }

    fn succeed(&self, known: &mut Known, keys: KeySet, ignored: &[Ignored]) {
        known.found += 1;
        known.in_a_row = 0;
        known.seen = Some(clock::now());
        let issuer = &self.rules.name;
        let count = keys.count();
        let is_other = known.keys.as_ref().is_none_or(|before| before.id() != keys.id());
        if is_other {
            for key in ignored {
                tracing::warn!(%issuer, key = %key, "a key of a foreign issuer is left out");
            }
            tracing::info!(%issuer, count, "the keys of a foreign issuer are new");
            known.keys = Some(Arc::new(keys));
        } else if known.complaint.is_some() {
            tracing::info!(%issuer, count, "the keys of a foreign issuer were found again");
        }
        known.complaint = None;
    }

    fn fail(&self, known: &mut Known, reason: String) {
        known.failed += 1;
        known.in_a_row = known.in_a_row.saturating_add(1);
        if known.complaint.as_ref() == Some(&reason) {
            return;
        }
        let consequence = if known.keys.is_some() {
            "those from before serve on"
        } else {
            "there are none, so its tokens are answered 503"
        };
        tracing::warn!(issuer = %self.rules.name, error = %reason, consequence, "the keys of a foreign issuer could not be found");
        known.complaint = Some(reason);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All issuers of a configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Arc<Source>>);

impl Sources {
    /// The issuers of a configuration. One that was there before is the same, and one that changed in other respects than where its
    /// keys are knows them still. Files are read here, so call it where that may block; nothing is fetched.
    #[must_use]
    pub fn new(issuers: &[ForeignIssuer], before: Option<&Self>) -> Self {
        let source = |rules: &ForeignIssuer| {
            let before = before.and_then(|before| before.iter().find(|it| it.rules.name == rules.name));
            let source = match before.filter(|before| *before.rules == *rules) {
                Some(same) => same.clone(),
                None => Arc::new(Source::new(rules, before.map(Arc::as_ref))),
            };
            if let KeySource::File(path) = &rules.keys {
                source.take(read_file(path));
            }
            source
        };
        Self(issuers.iter().map(source).collect())
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Source>> {
        self.0.iter()
    }

    /// The issuers as a verifier sees them now.
    #[must_use]
    pub fn trusted(&self) -> ForeignIssuers {
        self.iter().map(|source| source.trusted()).collect()
    }

    /// Whether other keys are known now than a verifier has.
    #[must_use]
    pub fn differ_from(&self, trusted: &ForeignIssuers) -> bool {
        let has_others = |(source, trusted): (&Arc<Source>, &Trusted)| {
            let known = source.known();
            known.keys.as_ref().map(|keys| *keys.id()) != trusted.keys().map(|keys| *keys.id())
        };
        self.iter().zip(trusted.iter()).any(has_others)
    }
}

/// Whether the keys that were found for one are those of the other.
fn finds_the_same_keys(one: &ForeignIssuer, other: &ForeignIssuer) -> bool {
    let how =
        |it: &ForeignIssuer| (it.issuer.clone(), it.keys.clone(), it.algorithms.clone(), it.ca_file.clone());
    how(one) == how(other)
}

async fn fetch_keys(rules: &ForeignIssuer) -> Result<Vec<u8>, FetchError> {
    let ca_file = rules.ca_file.as_deref();
    match &rules.keys {
        KeySource::Url(url) => fetch::get(url, ca_file).await,
        KeySource::Discovery(issuer) => {
            let url = discovery::key_set_url(&rules.issuer, issuer, ca_file).await?;
            fetch::get(&url, ca_file).await
        }
        KeySource::File(path) => read_file(path),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, FetchError> {
    // Whoever opens a pipe waits for somebody who writes.
    if !fs::metadata(path).map_err(FetchError::File)?.is_file() {
        return Err(FetchError::NotAFile);
    }
    let mut json = Vec::new();
    let file = File::open(path).map_err(FetchError::File)?;
    file.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut json).map_err(FetchError::File)?;
    if json.len() > MAX_DOCUMENT { Err(FetchError::TooLong) } else { Ok(json) }
}
