//! The event log: `tracing` to standard error, as text on a terminal and as flat JSON elsewhere.
//!
//! Fields keep their dotted names at the top level of the JSON object. Spans are not printed: every event says
//! by itself what it is about. Formatting is done here and not by `tracing-subscriber`'s own layer, so that both logs
//! of the gateway look alike and escape alike, at a third of the dependencies.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

use super::form::Form;
use super::json;
use super::text::{Colour, coloured, sentence, value};
use crate::clock;
use crate::config::LogFormat;
use crate::digits;

/// Why logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A single word that is no level. `tracing` would take it for the name of a module and show nothing else.
    #[error(
        "`{0}` is not a log level: use error, warn, info, debug, trace, off, or a filter such as `warn,portcullis=debug`"
    )]
    Level(String),
    /// The filter cannot be read.
    #[error("`{level}` is not a log filter: use a level, or a filter such as `warn,portcullis=debug`")]
    Filter {
        /// What was given.
        level: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Logging was set up before; it can be done once in a process.
    #[error("logging is already set up")]
    Twice(#[source] tracing::subscriber::SetGlobalDefaultError),
    /// The log that this handle belonged to is gone.
    #[error("the log is closed")]
    Closed(#[source] reload::Error),
}

/// Changes the level of a running log.
#[derive(Clone, Debug)]
pub struct LogHandle(reload::Handle<Targets, Registry>);

impl LogHandle {
    /// Applies another `[log] level`, as a reload does. The old one stays if this one cannot be read.
    ///
    /// # Errors
    /// The text is neither a level nor a filter, or the log is closed.
    pub fn set_level(&self, level: &str) -> Result<(), InitError> {
        self.0.reload(parse_level(level)?).map_err(InitError::Closed)
    }
}

/// Sets up the log of this process on standard error.
///
/// # Errors
/// `level` is neither a level nor a filter, or the process already has a log.
pub fn init(level: &str, format: LogFormat) -> Result<LogHandle, InitError> {
    let stderr = io::stderr();
    let form = Form::choose(format, &stderr);
    let (subscriber, handle) = build(level, form, Box::new(stderr))?;
    tracing::subscriber::set_global_default(subscriber).map_err(InitError::Twice)?;
    Ok(handle)
}

/// A log that writes JSON to `output`, for `tracing::subscriber::with_default`: how a test reads what was logged.
///
/// # Errors
/// `level` is neither a level nor a filter.
pub fn subscriber(
    level: &str,
    output: Box<dyn Write + Send>,
) -> Result<(impl Subscriber + Send + Sync + use<>, LogHandle), InitError> {
    build(level, Form::Json, output)
}

fn build(
    level: &str,
    form: Form,
    output: Box<dyn Write + Send>,
) -> Result<(impl Subscriber + Send + Sync + use<>, LogHandle), InitError> {
    let (filter, handle) = reload::Layer::new(parse_level(level)?);
    let subscriber = Registry::default().with(filter).with(Lines { form, output: Mutex::new(output) });
    Ok((subscriber, LogHandle(handle)))
}

/// A bare level is that of the gateway itself; libraries below it stay at `warn`. At `debug`, the HTTP libraries would
/// write headers down, and with them passwords and tokens. Whoever wants that says so: `debug,h2=debug`.
fn parse_level(level: &str) -> Result<Targets, InitError> {
    if level.contains([',', '=']) {
        return level.parse().map_err(|source| InitError::Filter { level: level.to_owned(), source });
    }
    let own: LevelFilter = match level.parse() {
        Ok(filter) if level.starts_with(char::is_alphabetic) => filter,
        _ => return Err(InitError::Level(level.to_owned())),
    };
    Ok(Targets::new().with_default(own.min(LevelFilter::WARN)).with_target("portcullis", own))
}

/// Writes each event as one line, with one write.
struct Lines {
    form: Form,
    output: Mutex<Box<dyn Write + Send>>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Vec::with_capacity(256);
        match self.form {
            Form::Json => write_json(&mut line, event),
            Form::Plain | Form::Coloured => write_text(&mut line, self.form, event),
        }
        line.push(b'\n');
        // Where even the log cannot be written there is nobody left to tell.
        let _ = self.output.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line);
    }
}

fn write_json(out: &mut Vec<u8>, event: &Event<'_>) {
    let metadata = event.metadata();
    json::write_to(out, format_args!("{{\"time\":\"{}\"", clock::now()));
    json::write_to(out, format_args!(",\"level\":\"{}\",\"target\":", metadata.level()));
    json::string(out, metadata.target().as_bytes());
    let mut fields = JsonFields { out, own: Vec::new() };
    event.record(&mut fields);
    let JsonFields { out, own } = fields;
    out.extend_from_slice(&own);
    out.push(b'}');
}

/// The message goes first, whatever the order in the macro, so that the eye finds it at the same place.
struct JsonFields<'o> {
    out: &'o mut Vec<u8>,
    own: Vec<u8>,
}

impl JsonFields<'_> {
    fn label(&mut self, field: &Field) -> &mut Vec<u8> {
        let out = if field.name() == "message" { &mut *self.out } else { &mut self.own };
        out.push(b',');
        json::string(out, field.name().as_bytes());
        out.push(b':');
        out
    }
}

impl Visit for JsonFields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        json::string(self.label(field), text.as_bytes());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        json::string(self.label(field), value.as_bytes());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        digits::decimal(self.label(field), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        json::write_to(self.label(field), format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        json::write_to(self.label(field), format_args!("{value}"));
    }
}

fn write_text(out: &mut Vec<u8>, form: Form, event: &Event<'_>) {
    let metadata = event.metadata();
    coloured(out, form, Colour::Dim, |out| json::write_to(out, format_args!("{}", clock::now())));
    out.push(b' ');
    coloured(out, form, colour(*metadata.level()), |out| {
        json::write_to(out, format_args!("{:>5}", metadata.level()));
    });
    let mut fields = TextFields { message: Vec::new(), own: Vec::new() };
    event.record(&mut fields);
    out.push(b' ');
    sentence(out, &fields.message);
    out.extend_from_slice(&fields.own);
    coloured(out, form, Colour::Dim, |out| {
        out.extend_from_slice(b" target=");
        value(out, metadata.target().as_bytes());
    });
}

struct TextFields {
    message: Vec<u8>,
    own: Vec<u8>,
}

impl Visit for TextFields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, text: &str) {
        if field.name() == "message" {
            self.message.extend_from_slice(text.as_bytes());
        } else {
            self.own.push(b' ');
            self.own.extend_from_slice(field.name().as_bytes());
            self.own.push(b'=');
            value(&mut self.own, text.as_bytes());
        }
    }
}

const fn colour(level: Level) -> Colour {
    match level {
        Level::ERROR => Colour::Red,
        Level::WARN => Colour::Yellow,
        Level::INFO => Colour::Green,
        Level::DEBUG | Level::TRACE => Colour::Cyan,
    }
}

#[cfg(test)]
mod tests;
