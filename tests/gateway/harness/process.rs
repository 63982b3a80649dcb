//! A process of ours: its output line by line, signals, and its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::PATIENCE;

/// A child process. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    stdout: Arc<Lines>,
    stderr: Arc<Lines>,
    exited: Option<ExitStatus>,
}

/// What a command that has ended left behind.
#[derive(Debug)]
pub(crate) struct Output {
    /// The exit status; -1 if a signal ended it.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Output {
    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    /// Fails the test unless the command did what it should.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{self:?}");
        self
    }
}

impl Process {
    /// Starts the command and writes `stdin` to it.
    pub(crate) fn spawn(command: &mut Command, stdin: &str) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        // A command that needs no input may have ended already.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let stdout = Lines::collect(child.stdout.take().unwrap());
        let stderr = Lines::collect(child.stderr.take().unwrap());
        Self { child, stdout, stderr, exited: None }
    }

    /// Its number, for whoever kills it while others use it.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it ever had, in bytes.
    #[track_caller]
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn signal(&self, signal: Signal) {
        // The process is not reaped before `wait`, so the number cannot be another's.
        assert!(self.exited.is_none(), "the process has ended");
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the process has ended by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.exited {
            return status;
        }
        // Both pipes close when the process ends; waiting for that, unlike waitpid, can be bounded.
        self.stdout.wait_for_end();
        self.stderr.wait_for_end();
        let status = self.child.wait().unwrap();
        self.exited = Some(status);
        status
    }

    /// Waits for the end and returns everything.
    #[track_caller]
    pub(crate) fn output(mut self) -> Output {
        let status = self.wait().code().unwrap_or(-1);
        Output { status, stdout: self.stdout.text(), stderr: self.stderr.text() }
    }

    /// Waits for a line on standard error like this. A line that is no JSON object is a string.
    #[track_caller]
    pub(crate) fn wait_for_stderr(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.wait_for_stderr_after(0, what, is)
    }

    /// As [`Self::wait_for_stderr`], without the first `mark` lines.
    #[track_caller]
    pub(crate) fn wait_for_stderr_after(
        &self,
        mark: usize,
        what: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        self.stderr.wait_for(mark, what, is).unwrap_or_else(|| self.give_up(what))
    }

    /// Waits for a line on standard output like this.
    #[track_caller]
    pub(crate) fn wait_for_stdout(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        self.stdout.wait_for(0, what, is).unwrap_or_else(|| self.give_up(what))
    }

    pub(crate) fn stdout_lines(&self) -> Vec<Value> {
        self.stdout.values()
    }

    pub(crate) fn stderr_lines(&self) -> Vec<Value> {
        self.stderr.values()
    }

    pub(crate) fn stderr_text(&self) -> String {
        self.stderr.text()
    }

    #[track_caller]
    fn give_up(&self, what: &str) -> ! {
        panic!("no {what}\nstdout:\n{}\nstderr:\n{}", self.stdout.text(), self.stderr.text())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.exited.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The lines of one pipe, so far.
#[derive(Default)]
struct Lines {
    state: Mutex<LinesState>,
    changed: Condvar,
}

#[derive(Default)]
struct LinesState {
    text: String,
    values: Vec<Value>,
    ended: bool,
}

impl Lines {
    fn collect(pipe: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Self::default());
        let writer = Arc::clone(&lines);
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).unwrap_or(0) > 0 {
                writer.push(&String::from_utf8_lossy(&line));
                line.clear();
            }
            writer.state.lock().unwrap().ended = true;
            writer.changed.notify_all();
        });
        lines
    }

    fn push(&self, line: &str) {
        let value = serde_json::from_str(line).unwrap_or_else(|_| Value::String(line.trim_end().into()));
        let mut state = self.state.lock().unwrap();
        state.text.push_str(line);
        state.values.push(value);
        drop(state);
        self.changed.notify_all();
    }

    fn wait_for(&self, mark: usize, what: &str, is: impl Fn(&Value) -> bool) -> Option<Value> {
        let found = |state: &LinesState| state.values.iter().skip(mark).find(|line| is(line)).cloned();
        let waiting = |state: &mut LinesState| !state.ended && found(state).is_none();
        let state = self.state.lock().unwrap();
        let (state, result) = self.changed.wait_timeout_while(state, PATIENCE, waiting).unwrap();
        assert!(!result.timed_out(), "no {what} within {PATIENCE:?}:\n{}", state.text);
        found(&state)
    }

    #[track_caller]
    fn wait_for_end(&self) {
        let state = self.state.lock().unwrap();
        let waiting = |state: &mut LinesState| !state.ended;
        let (state, result) = self.changed.wait_timeout_while(state, PATIENCE, waiting).unwrap();
        assert!(!result.timed_out(), "the process did not end:\n{}", state.text);
    }

    fn text(&self) -> String {
        self.state.lock().unwrap().text.clone()
    }

    fn values(&self) -> Vec<Value> {
        self.state.lock().unwrap().values.clone()
    }
}
