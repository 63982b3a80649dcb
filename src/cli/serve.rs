//! `portcullis serve`: runs the gateway until it is told to stop.

use std::error::Error;
use std::io;
use std::path::Path;

use tokio::runtime::{Builder, Runtime};

use super::failure::{Failure, Status};
use super::signals::{Asked, Signals};
use crate::app::Gateway;
use crate::causes::with_causes;
use crate::config::{self, Config};
use crate::observe::{self, LogHandle};
use crate::reload;

/// Threads that may wait for the disk at the same time.
const MAX_BLOCKING_THREADS: usize = 16;

/// Runs until a signal says to stop. Why the gateway cannot start is in the log, where whoever runs a service looks.
///
/// # Errors
/// [`Failure`] for a wrong configuration, and for what is wrong before there is a log.
pub(super) fn run(path: &Path) -> Result<Status, Failure> {
    let config = super::load(path)?;
    let log =
        observe::init(&config.log.level, config.log.format).map_err(|error| Failure::because(&error))?;
    let control = control_plane().map_err(|error| Failure::because(&error))?;
    Ok(match control.block_on(serve(path, config, &log)) {
        Ok(()) => Status::Done,
        Err(error) => {
            tracing::error!(error = %with_causes(&*error), "the gateway cannot start");
            Status::Failed
        }
    })
}

/// The runtime of everything that is rare.
pub(super) fn control_plane() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().max_blocking_threads(MAX_BLOCKING_THREADS).build()
}

async fn serve(path: &Path, config: Config, log: &LogHandle) -> Result<(), Box<dyn Error>> {
    let mut signals = Signals::listen()?;
    let mut gateway = Gateway::start(config)?;
    loop {
        match signals.next().await {
            Asked::Stop(name) => {
                tracing::info!(signal = name, "stopping");
                break;
            }
            Asked::Reload => {
                if let Err(error) = reload::giving_way(|| reload(path, &mut gateway, log)) {
                    gateway.note_failed_reload(format!("no thread for it: {error}"));
                    tracing::error!(error = %error, "the configuration was not reloaded: no thread for it; the old one stays in force");
                }
            }
        }
    }
    gateway.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// A wrong file changes nothing: every error in it is logged, and the old configuration stays.
fn reload(path: &Path, gateway: &mut Gateway, log: &LogHandle) {
    if let Err(error) = gateway.reopen_log() {
        tracing::error!(error = %error, "the access log could not be opened again; records go on to the old file");
    }
    let config = match config::load(path) {
        Ok(config) => config,
        Err(diagnostics) => {
            gateway.note_failed_reload(format!("errors in the file: {}", diagnostics.iter().count()));
            for message in diagnostics.iter() {
                tracing::error!("{message}");
            }
            tracing::error!("the configuration was not reloaded: the old one stays in force");
            return;
        }
    };
    let level = config.log.level.clone();
    if let Err(error) = gateway.reload(config) {
        tracing::error!(error = %with_causes(&error), "the configuration was not reloaded: the old one stays in force");
        return;
    }
    if let Err(error) = log.set_level(&level) {
        tracing::error!(error = %error, "the log level could not be changed");
    }
    tracing::info!("the configuration was reloaded");
}
