use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::super::tests::record;
use super::super::writer::KEEP;
use super::*;

/// An output that a test reads, holds up or breaks. What is accepted before it breaks is counted in bytes.
#[derive(Clone, Default)]
struct Pipe(Arc<(Mutex<PipeState>, Condvar)>);

#[derive(Default)]
struct PipeState {
    bytes: Vec<u8>,
    /// Bytes that it takes before it fails; `None`: any number.
    room: Option<usize>,
    failures: usize,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.0.0);
        let room = state.room.unwrap_or(usize::MAX);
        if room == 0 {
            state.failures += 1;
            self.0.1.notify_all();
            return Err(ErrorKind::StorageFull.into());
        }
        // Seldom whole lines, as with a real pipe.
        let count = bytes.len().min(room).min(100);
        state.bytes.extend_from_slice(&bytes[..count]);
        state.room = state.room.map(|room| room - count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pipe {
    fn with_room(room: usize) -> Self {
        let pipe = Self::default();
        lock(&pipe.0.0).room = Some(room);
        pipe
    }

    fn wait_for_failure(&self) {
        let state = self.0.1.wait_while(lock(&self.0.0), |state| state.failures == 0);
        drop(state.unwrap());
    }

    fn lines(&self) -> usize {
        lock(&self.0.0).bytes.iter().filter(|byte| **byte == b'\n').count()
    }

    fn ids(&self) -> Vec<u64> {
        ids(&lock(&self.0.0).bytes)
    }
}

/// The request ids of whole lines; anything else in `bytes` fails the test.
fn ids(bytes: &[u8]) -> Vec<u64> {
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"));
    let lines = std::str::from_utf8(bytes).unwrap().lines();
    let id =
        |line| serde_json::from_str::<Value>(line).unwrap()["request.id"].as_str().unwrap().parse().unwrap();
    lines.map(id).collect()
}

fn record_ids(sink: &AccessSink, ids: std::ops::Range<u64>) {
    for id in ids {
        sink.record(&AccessRecord { request_id: id.to_string().as_bytes(), ..record() });
    }
}

fn wait_until(is: impl Fn() -> bool) {
    while !is() {
        thread::yield_now();
    }
}

fn start(pipe: &Pipe) -> AccessLog {
    AccessLog::start(Box::new(pipe.clone()), Form::Json, None).unwrap()
}

#[test]
fn dropping_the_log_writes_everything_in_order() {
    let pipe = Pipe::default();
    let log = start(&pipe);
    let sink = log.sink();
    record_ids(&sink, 0..1000);
    drop(log);
    assert_eq!(pipe.ids(), (0..1000).collect::<Vec<u64>>());
}

/// Nothing wakes the thread while there is nothing to do, and everything that there can be does.
#[test]
fn a_log_that_sleeps_wakes_for_the_first_record() {
    let pipe = Pipe::default();
    let log = start(&pipe);
    let sink = log.sink();
    for id in 0..3 {
        wait_until(|| log.shared.asleep.load(Ordering::Relaxed));
        record_ids(&sink, id..id + 1);
        wait_until(|| pipe.lines() as u64 > id);
    }
    drop(log);
    assert_eq!(pipe.ids(), [0, 1, 2]);
}

#[test]
fn records_of_all_workers_are_whole_lines() {
    let pipe = Pipe::default();
    let log = start(&pipe);
    thread::scope(|scope| {
        for worker in 0..4 {
            let sink = log.sink();
            scope.spawn(move || record_ids(&sink, worker * 1000..(worker + 1) * 1000));
        }
    });
    // The sinks are gone by now; what they recorded is not.
    drop(log);
    let mut ids = pipe.ids();
    ids.sort_unstable();
    assert_eq!(ids, (0..4000).collect::<Vec<u64>>());
}

#[test]
fn an_output_that_fails_gets_the_rest_when_it_works_again() {
    let pipe = Pipe::with_room(150);
    let log = start(&pipe);
    let sink = log.sink();
    record_ids(&sink, 0..3);
    pipe.wait_for_failure();
    record_ids(&sink, 3..6);
    lock(&pipe.0.0).room = None;
    drop(log);
    assert_eq!(pipe.ids(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn memory_is_bounded_while_nothing_can_be_written_and_the_loss_is_counted() {
    let pipe = Pipe::with_room(0);
    let log = start(&pipe);
    let sink = log.sink();
    record_ids(&sink, 0..1);
    pipe.wait_for_failure();
    let length = {
        let mut out = Vec::new();
        AccessRecord { request_id: b"1000000", ..record() }.write_json(&mut out);
        out.len()
    };
    let count = 1_000_000 + u64::try_from(LIMIT / length).unwrap() + 10;
    record_ids(&sink, 1_000_000..count);
    let gathered = lock(&sink.buffer.0);
    assert!(gathered.bytes.len() < LIMIT + length, "{}", gathered.bytes.len());
    let lost = gathered.dropped;
    assert!((1..=10).contains(&lost), "{lost}");
    drop(gathered);
    lock(&pipe.0.0).room = None;
    drop(log);
    let expected: Vec<u64> = std::iter::once(0).chain(1_000_000..count - lost).collect();
    assert_eq!(pipe.ids(), expected);
}

#[test]
fn a_writer_moves_to_the_new_output_between_records() {
    let (old, new) = (Pipe::with_room(0), Pipe::default());
    let buffer = Arc::new(Buffer::default());
    let sink = AccessSink { buffer: Arc::clone(&buffer), shared: Arc::default(), form: Form::Json };
    let mut writer = Writer::new(Box::new(old.clone()));
    record_ids(&sink, 0..2);
    let whole = lock(&buffer.0).bytes.len() / 2;
    lock(&old.0.0).room = Some(whole + 10);
    assert!(
        !writer.write(|batch| buffer.swap(batch)),
        "the old output is full in the middle of the second record"
    );

    writer.next = Some(Box::new(new.clone()));
    assert!(!writer.flush(), "the old output is still full; the writer changes over");
    assert!(writer.flush());
    assert_eq!(ids(&lock(&old.0.0).bytes[..whole]), [0]);
    assert_eq!(new.ids(), [1]);
}

#[test]
fn an_emptied_buffer_gives_the_memory_of_a_burst_back() {
    let pipe = Pipe::default();
    let buffer = Arc::new(Buffer::default());
    let sink = AccessSink { buffer: Arc::clone(&buffer), shared: Arc::default(), form: Form::Json };
    let mut writer = Writer::new(Box::new(pipe.clone()));
    record_ids(&sink, 0..20_000);
    assert!(lock(&buffer.0).bytes.capacity() > KEEP);
    assert!(writer.write(|batch| buffer.swap(batch)));
    assert!(writer.batch.capacity() <= KEEP, "{}", writer.batch.capacity());
    assert_eq!(pipe.ids().len(), 20_000);
}

#[test]
fn a_sink_that_is_gone_is_forgotten_after_its_last_records() {
    let pipe = Pipe::default();
    let log = start(&pipe);
    let (used, gone, idle) = (log.sink(), log.sink(), log.sink());
    record_ids(&gone, 0..1);
    drop(gone);
    wait_until(|| lock(&log.shared.state).buffers.len() == 2);
    wait_until(|| log.shared.asleep.load(Ordering::Relaxed));
    drop(idle);
    wait_until(|| lock(&log.shared.state).buffers.len() == 1);
    record_ids(&used, 1..2);
    drop(log);
    assert_eq!(pipe.ids(), [0, 1]);
}

#[test]
fn a_file_is_appended_to_and_opened_again_under_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let rotated = directory.path().join("access.log.1");
    let config = config::AccessLog::File(path.clone());
    for ids in [0..2, 2..4] {
        let log = AccessLog::open(&config, LogFormat::Auto).unwrap().unwrap();
        record_ids(&log.sink(), ids);
    }
    assert_eq!(ids(&std::fs::read(&path).unwrap()), [0, 1, 2, 3]);

    let log = AccessLog::open(&config, LogFormat::Json).unwrap().unwrap();
    std::fs::rename(&path, &rotated).unwrap();
    log.reopen().unwrap();
    record_ids(&log.sink(), 4..5);
    drop(log);
    let both = [std::fs::read(&rotated).unwrap(), std::fs::read(&path).unwrap()].concat();
    assert_eq!(ids(&both), [0, 1, 2, 3, 4]);
    assert!(path.exists());
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_and_off_is_off() {
    let missing = config::AccessLog::File("/nonexistent/access.log".into());
    assert_eq!(AccessLog::open(&missing, LogFormat::Auto).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(AccessLog::open(&config::AccessLog::Off, LogFormat::Auto).unwrap().is_none());
}

/// `Drop` must not wait for the tick: the thread is told.
#[test]
fn the_thread_ends_with_its_log() {
    let ended = Arc::new(AtomicUsize::new(0));
    struct Ends(Arc<AtomicUsize>);
    impl Write for Ends {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    drop(AccessLog::start(Box::new(Ends(Arc::clone(&ended))), Form::Json, None).unwrap());
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}
